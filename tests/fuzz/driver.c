/*
 * Runs a fuzz target over the files of a corpus without libFuzzer: each file as it is,
 * cut after every byte, and with every bit of every byte flipped. Files are small.
 */

#include "base/file.h"
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

static void run_variants(const char *bytes, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, bytes, size);
    for (size_t cut = 0; cut <= size; cut++) {
        /* Exactly as large as the input, so that a read beyond it is seen. */
        uint8_t *part = malloc(cut ? cut : 1);
        if (!part)
            abort();
        memcpy(part, bytes, cut);
        LLVMFuzzerTestOneInput(part, cut);
        free(part);
    }
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (uint8_t)(1 << bit);
            LLVMFuzzerTestOneInput(copy, size);
            copy[i] ^= (uint8_t)(1 << bit);
        }
    free(copy);
}

static int run_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    int files = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[1024];
        size_t size;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        char *bytes = vidur_file_read(path, 0, &size, NULL);
        if (!bytes)
            continue;
        run_variants(bytes, size);
        free(bytes);
        files++;
    }
    if (dir)
        closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++)
        files += run_folder(argv[i]);
    printf("%d files\n", files);
    return files > 0 ? 0 : 1;
}
