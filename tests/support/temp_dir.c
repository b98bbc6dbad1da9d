#define _XOPEN_SOURCE 700

#include "temp_dir.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void temp_dir_make(struct temp_dir *dir)
{
    const char *base = getenv("TMPDIR");
    snprintf(dir->path, sizeof dir->path, "%s/vidur-test-XXXXXX",
             base && base[0] ? base : "/tmp");
    if (!mkdtemp(dir->path)) {
        perror(dir->path);
        abort();
    }
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void temp_dir_remove(struct temp_dir *dir)
{
    nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct temp_path temp_dir_path(const struct temp_dir *dir, const char *name)
{
    struct temp_path path;
    snprintf(path.text, sizeof path.text, "%s/%s", dir->path, name);
    return path;
}

struct temp_path temp_dir_write(const struct temp_dir *dir, const char *name,
                                const char *text)
{
    struct temp_path path = temp_dir_path(dir, name);
    for (char *p = path.text + strlen(dir->path) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path.text, 0777);
        *p = '/';
    }
    FILE *file = fopen(path.text, "wb");
    if (!file || fwrite(text, 1, strlen(text), file) != strlen(text) || fclose(file)) {
        perror(path.text);
        abort();
    }
    return path;
}

int temp_dir_count(const struct temp_dir *dir, const char *suffix)
{
    int count = 0;
    DIR *folder = opendir(dir->path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const size_t n = strlen(entry->d_name), m = strlen(suffix);
        count += n >= m && strcmp(entry->d_name + n - m, suffix) == 0;
    }
    if (folder)
        closedir(folder);
    return count;
}
