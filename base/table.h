/*
 * base/table.h - rows of cells for people, each column as wide as the widest of its cells.
 */
#pragma once

#include "base/buf.h"

#define TABLE_COLUMNS_MAX 8
#define TABLE_CELL_MAX 96

struct table {
	const char		*indent;	/* before the first column */
	const char		*columns;	/* a letter for each: l words, to the left; r amounts, to the right */
	const char *const	*heads;
	size_t			 rows;

	/* Asked twice for each row, with cells that are empty. */
	void			(*fill)(const void *of, size_t row, char cell[][TABLE_CELL_MAX]);
	const void		*of;
};

/* table_put(t, ret): append heads and rows, two blanks between columns. */
void table_put(const struct table *t, struct buf *ret);
