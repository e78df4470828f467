#include "base/table.h"

#include <assert.h>

static void put_row(const struct table *t, const int width[], const char *const cell[], struct buf *ret)
{
	for (size_t c = 0; t->columns[c]; c++)
		buf_printf(ret, "%s%*s", c ? "  " : t->indent, t->columns[c] == 'l' ? -width[c] : width[c], cell[c]);
	buf_puts(ret, "\n");
}

void table_put(const struct table *t, struct buf *ret)
{
	char cell[TABLE_COLUMNS_MAX][TABLE_CELL_MAX];
	const char *cells[TABLE_COLUMNS_MAX] = {NULL};
	const size_t n = strlen(t->columns);
	int width[TABLE_COLUMNS_MAX] = {0};

	assert(n && n <= TABLE_COLUMNS_MAX);
	for (size_t c = 0; c < n; c++) {
		width[c] = (int)strlen(t->heads[c]);
		cells[c] = cell[c];
	}
	for (size_t row = 0; row < t->rows; row++) {
		memset(cell, 0, sizeof(cell));
		t->fill(t->of, row, cell);
		for (size_t c = 0; c < n; c++)
			width[c] = max(width[c], (int)strlen(cell[c]));
	}
	/* Behind words at the end there is nothing to keep apart. */
	if (t->columns[n - 1] == 'l')
		width[n - 1] = 0;
	put_row(t, width, t->heads, ret);
	for (size_t row = 0; row < t->rows; row++) {
		memset(cell, 0, sizeof(cell));
		t->fill(t->of, row, cell);
		put_row(t, width, cells, ret);
	}
}
