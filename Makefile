# Thin: Meson builds.  `make` alone is the release build; the programs are in build/bin and run from there.
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

.PHONY: release debug check deb install fmt clean

release: build/build.ninja
	@ninja -C build -j $(JOBS)

build/build.ninja:
	@meson setup build --buildtype=release -Ddebug=true --prefix=$(abspath $(PREFIX))

# With symbols, without optimisation, with both sanitizers: .build/debug/bin.
debug: .build/debug/build.ninja
	@ninja -C .build/debug -j $(JOBS)

.build/debug/build.ninja:
	@meson setup .build/debug --buildtype=debug -Dtests=true -Db_sanitize=address,undefined

check:
	@./check

# Debian packages, in .build/deb.
deb:
	@scripts/deb

# DESTDIR= as usual; PREFIX= may differ from the one of the build.
install: release
	@meson configure build -Dprefix=$(abspath $(PREFIX))
	@DESTDIR=$(DESTDIR) meson install -C build --quiet

# What was changed since the last commit, and no more: members and tables are aligned by hand.
fmt:
	@git clang-format --quiet --extensions c,h

clean:
	@rm -rf build .build
