#include "base/table.h"

#include "base/test.h"

#include <stdio.h>

static const char *const heads[] = {"name", "sent", "state"};
static const char *const rows[][3] = {{"a", "1 B", "up"}, {"b-with-a-name", "1000.0 MiB", ""}};

static void fill(const void *of, size_t row, char cell[][TABLE_CELL_MAX])
{
	const unsigned *columns = of;

	for (unsigned c = 0; c < *columns; c++) {
		CHECK_STR(cell[c], "");
		snprintf(cell[c], TABLE_CELL_MAX, "%s", rows[row][c]);
	}
}

static void widths(void)
{
	cleanup(buf_done) struct buf out = buf_of_max(1000);

	table_put(&(struct table){"", "lrl", heads, 2, fill, &(unsigned){3}}, &out);
	CHECK_STR(buf_str(&out), "name                 sent  state\n"
				 "a                     1 B  up\n"
				 "b-with-a-name  1000.0 MiB  \n");
	buf_clear(&out);
	table_put(&(struct table){"  ", "lr", heads, 1, fill, &(unsigned){2}}, &out);
	CHECK_STR(buf_str(&out), "  name  sent\n"
				 "  a      1 B\n");
	buf_clear(&out);
	table_put(&(struct table){"", "ll", heads, 0, fill, NULL}, &out);
	CHECK_STR(buf_str(&out), "name  sent\n");
}

int main(void)
{
	test_run("columns are as wide as their cells, words to the left and amounts to the right [base-table]", widths);
	return test_done();
}
