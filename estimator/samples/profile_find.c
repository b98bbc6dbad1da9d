#include "base/file.h"
#include "base/text.h"

#include <vidur/profile.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Where the files of a profile are: the reference's folder layout, in the first of
 * several folders that has each file.
 */

enum { MAX_NAMES_SHOWN = 12 };

static const char *const layouts[VIDUR_NUM_PROFILE_FILES] = {
#define X(name, path) [VIDUR_PROFILE_FILE_##name] = path,
    VIDUR_PROFILE_FILES(X)
#undef X
};

static bool is_needed(const struct vidur_profile_request *request, int file)
{
    switch (file) {
    case VIDUR_PROFILE_FILE_all_reduce:
        return request->tensor_parallel_size > 1;
    case VIDUR_PROFILE_FILE_send_recv:
        return request->pipeline;
    case VIDUR_PROFILE_FILE_cpu_overhead:
        return request->cpu_overhead;
    default:
        return true;
    }
}

static bool has_stand_in(const struct vidur_profile_request *request, int file)
{
    return request->lenient && (file == VIDUR_PROFILE_FILE_all_reduce ||
                                file == VIDUR_PROFILE_FILE_send_recv);
}

/* The layout with its placeholders filled in, below a folder. */
static int expand(const char *layout, const struct vidur_profile_request *request,
                  struct vidur_path *out, struct vidur_error *err)
{
    size_t used = 0;
    out->text[0] = '\0';
    for (const char *p = layout; *p; p++) {
        char single[] = {*p, '\0'};
        const char *piece = single;
        if (*p == '%') {
            p++;
            piece = *p == 'D'   ? request->device
                    : *p == 'N' ? request->node
                                : request->model->name;
        }
        const size_t length = strlen(piece);
        if (used + length >= sizeof out->text)
            return vidur_fail(err, VIDUR_EINVAL, "%s: the path is too long", layout);
        memcpy(out->text + used, piece, length + 1);
        used += length;
    }
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a folder's entries; the caller frees them and the array. */
static char **list_folder(const char *folder, int *count)
{
    DIR *dir = opendir(folder);
    char **names = NULL;
    *count = 0;
    for (struct dirent *entry = dir ? readdir(dir) : NULL; entry;
         entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        char **more = realloc(names, (size_t)(*count + 1) * sizeof *names);
        if (!more)
            break;
        names = more;
        names[*count] = strdup(entry->d_name);
        if (!names[*count])
            break;
        (*count)++;
    }
    if (dir)
        closedir(dir);
    if (names)
        qsort(names, (size_t)*count, sizeof *names, compare_names);
    return names;
}

/* "FOLDER has a, b, c" for the deepest folder on the way to `path` that exists. */
static void describe(struct vidur_text *text, const char *dir, const char *path)
{
    struct vidur_path folder;
    if (vidur_path_join(dir, path, &folder, NULL))
        return;
    const size_t root = strlen(dir);
    do {
        char *slash = strrchr(folder.text, '/');
        if (!slash)
            break;
        *slash = '\0';
    } while (strlen(folder.text) > root && !vidur_file_exists(folder.text));
    vidur_text_adds(text, "; ");
    vidur_text_adds(text, folder.text);
    if (!vidur_file_exists(folder.text)) {
        vidur_text_adds(text, " does not exist");
        return;
    }
    int count = 0;
    char **names = list_folder(folder.text, &count);
    vidur_text_adds(text, count > 0 ? " has " : " is empty");
    for (int i = 0; i < count; i++) {
        if (i < MAX_NAMES_SHOWN) {
            vidur_text_adds(text, i > 0 ? ", " : "");
            vidur_text_adds(text, names[i]);
        } else if (i == MAX_NAMES_SHOWN) {
            vidur_text_adds(text, ", ...");
        }
        free(names[i]);
    }
    free(names);
}

static int fail_missing(const struct vidur_profile_request *request, const char *path,
                        struct vidur_error *err)
{
    struct vidur_text text = {0};
    for (int i = 0; i < request->num_dirs; i++)
        describe(&text, request->dirs[i], path);
    vidur_fail(
        err, VIDUR_EIO, "%s: no profile of %s on %s (%s), TP %d: no such file%s%s",
        path, request->model->name, request->device, request->node,
        request->tensor_parallel_size, request->num_dirs > 0 ? "" : " (no folders)",
        text.data ? text.data : "");
    free(text.data);
    return -1;
}

static int find(struct vidur_path *out, const struct vidur_profile_request *request,
                int file, struct vidur_error *err)
{
    struct vidur_path path;
    if (expand(layouts[file], request, &path, err))
        return -1;
    for (int i = 0; i < request->num_dirs; i++) {
        if (vidur_path_join(request->dirs[i], path.text, out, err))
            return -1;
        if (vidur_file_exists(out->text))
            return 0;
        const size_t length = strlen(out->text);
        if (length + 3 >= sizeof out->text)
            return vidur_fail(err, VIDUR_EINVAL, "%s: the path is too long", out->text);
        memcpy(out->text + length, ".gz", sizeof ".gz");
        if (vidur_file_exists(out->text))
            return 0;
    }
    out->text[0] = '\0';
    return has_stand_in(request, file) ? 0 : fail_missing(request, path.text, err);
}

int vidur_profile_find(struct vidur_profile_paths *paths,
                       const struct vidur_profile_request *request,
                       struct vidur_error *err)
{
    memset(paths, 0, sizeof *paths);
    for (int i = 0; i < VIDUR_NUM_PROFILE_FILES; i++)
        if (is_needed(request, i) && find(&paths->files[i], request, i, err))
            return -1;
    return 0;
}
