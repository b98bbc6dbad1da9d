#ifndef VIDUR_TEST_TEMP_DIR_H
#define VIDUR_TEST_TEMP_DIR_H

/* Files for tests: a fresh folder below $TMPDIR, removed with all that is in it. */

struct temp_dir {
    char path[256];
};

struct temp_path {
    char text[512];
};

/* Aborts the test program when the folder cannot be made. */
void temp_dir_make(struct temp_dir *dir);
void temp_dir_remove(struct temp_dir *dir);

struct temp_path temp_dir_path(const struct temp_dir *dir, const char *name);

/* Writes a text file, making the folders in its name; returns its path. */
struct temp_path temp_dir_write(const struct temp_dir *dir, const char *name,
                                const char *text);

/* How many files with this suffix the folder itself has. */
int temp_dir_count(const struct temp_dir *dir, const char *suffix);

#endif
