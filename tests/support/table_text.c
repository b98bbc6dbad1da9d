#include "table_text.h"

#include "test.h"

#include <stdarg.h>
#include <stdio.h>

void table_text_add(struct table_text *table, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    table->used += (size_t)vsnprintf(table->text + table->used,
                                     sizeof table->text - table->used, format, list);
    va_end(list);
    CU_ASSERT_FATAL(table->used < sizeof table->text);
}

void table_text_write(struct table_text *table, const struct temp_dir *dir,
                      const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s.csv", folder, name);
    temp_dir_write(dir, path, table->text);
    table->used = 0;
}
