#include "tunnel/steering.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* r0: what was loaded  r6: the packet, as loads want it  r7: the hash  r8: scratch, or the IPv4 header's length */
#define ALU(op, dst, value) {.code = BPF_ALU | BPF_K | (op), .dst_reg = (dst), .imm = (value)}
#define ALU_REG(op, dst, src) {.code = BPF_ALU | BPF_X | (op), .dst_reg = (dst), .src_reg = (src)}
#define MOVE(dst, src) {.code = BPF_ALU64 | BPF_X | BPF_MOV, .dst_reg = (dst), .src_reg = (src)}
#define LOAD(size, at) {.code = BPF_LD | BPF_ABS | (size), .imm = (at)}
#define LOAD_BEHIND(size, src) {.code = BPF_LD | BPF_IND | (size), .src_reg = (src)}
#define JUMP(op, dst, value, by) {.code = BPF_JMP | BPF_K | (op), .dst_reg = (dst), .imm = (value), .off = (by)}
#define END {.code = BPF_JMP | BPF_EXIT}
#define MIX ALU(BPF_MUL, 7, 0x01000193), ALU_REG(BPF_XOR, 7, 0)

/* A load beyond the packet ends the program with 0. */
static const struct bpf_insn program[] = {
	MOVE(6, 1),
	ALU(BPF_MOV, 7, 0),
	LOAD(BPF_B, 0),
	MOVE(8, 0),
	ALU(BPF_RSH, 8, 4),
	JUMP(BPF_JEQ, 8, 6, 16),
	/* IPv4: addresses, and ports unless it is a fragment. */
	MOVE(8, 0),
	ALU(BPF_AND, 8, 15),
	ALU(BPF_LSH, 8, 2),
	LOAD(BPF_W, 12), MIX,
	LOAD(BPF_W, 16), MIX,
	LOAD(BPF_H, 6),
	JUMP(BPF_JSET, 0, 0x3fff, 35),
	LOAD(BPF_B, 9),
	JUMP(BPF_JEQ, 0, IPPROTO_TCP, 1),
	JUMP(BPF_JNE, 0, IPPROTO_UDP, 32),
	LOAD_BEHIND(BPF_W, 8),
	JUMP(BPF_JA, 0, 0, 28),
	/* IPv6: the same without extension headers. */
	LOAD(BPF_W, 8), MIX,
	LOAD(BPF_W, 12), MIX,
	LOAD(BPF_W, 16), MIX,
	LOAD(BPF_W, 20), MIX,
	LOAD(BPF_W, 24), MIX,
	LOAD(BPF_W, 28), MIX,
	LOAD(BPF_W, 32), MIX,
	LOAD(BPF_W, 36), MIX,
	LOAD(BPF_B, 6),
	JUMP(BPF_JEQ, 0, IPPROTO_TCP, 1),
	JUMP(BPF_JNE, 0, IPPROTO_UDP, 3),
	LOAD(BPF_W, 40),
	MIX,
	/* The queue is the remainder: the high bits of a product are the well mixed ones. */
	ALU(BPF_MUL, 7, (int)0x9e3779b1),
	ALU(BPF_RSH, 7, 16),
	MOVE(0, 7),
	END,
};

int steering_attach(int fd)
{
	union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insn_cnt = array_size(program),
		.insns = (uintptr_t)program,
		.license = (uintptr_t) "ISC"};
	cleanup(close_fd) int loaded = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (loaded < 0)
		return -errno;
	return ioctl(fd, TUNSETSTEERINGEBPF, &loaded) < 0 ? -errno : 0;
}
