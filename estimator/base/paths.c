#include <vidur/paths.h>

#include "base/file.h"
#include "base/text.h"

#include <ctype.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTALLED_DATA "share/vidur-search/data"

static int set_path(struct vidur_path *out, const char *a, const char *b,
                    struct vidur_error *err)
{
    const size_t n = strlen(a);
    const char *slash = n > 0 && b[0] && a[n - 1] != '/' ? "/" : "";
    const int length = snprintf(out->text, sizeof out->text, "%s%s%s", a, slash, b);
    if (length < 0 || (size_t)length >= sizeof out->text)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%.60s...: a path of %d bytes; at most %d are supported", a,
                          length, VIDUR_PATH_MAX - 1);
    return 0;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ../share beside the folder of the running program. */
static bool beside_program(struct vidur_path *out)
{
    char program[VIDUR_PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0 || (size_t)n >= sizeof program - 1)
        return false;
    program[n] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(program, '/');
        if (!slash)
            return false;
        *slash = '\0';
    }
    return set_path(out, program, INSTALLED_DATA, NULL) == 0 && is_folder(out->text);
}

int vidur_path_data_dir(struct vidur_path *out, struct vidur_error *err)
{
    const char *env = getenv("VIDUR_DATA_DIR");
    if (env && env[0]) {
        if (!is_folder(env))
            return vidur_fail(err, VIDUR_EIO,
                              "VIDUR_DATA_DIR: %s is not a folder; unset it, or name "
                              "the folder with models/ and skus/",
                              env);
        return set_path(out, env, "", err);
    }
    if (beside_program(out))
        return 0;
    if (is_folder(VIDUR_SOURCE_DATA_DIR))
        return set_path(out, VIDUR_SOURCE_DATA_DIR, "", err);
    if (is_folder(VIDUR_INSTALL_DATA_DIR))
        return set_path(out, VIDUR_INSTALL_DATA_DIR, "", err);
    return vidur_fail(err, VIDUR_EIO,
                      "no data folder at %s or %s; set VIDUR_DATA_DIR to it",
                      VIDUR_INSTALL_DATA_DIR, VIDUR_SOURCE_DATA_DIR);
}

int vidur_path_join(const char *folder, const char *name, struct vidur_path *out,
                    struct vidur_error *err)
{
    return set_path(out, folder, name, err);
}

int vidur_path_resolve(const char *config_path, const char *value,
                       struct vidur_path *out, struct vidur_error *err)
{
    struct vidur_path folder;
    if (!value[0])
        return vidur_fail(err, VIDUR_EINVAL, "an empty path; name a file or folder");
    if (strncmp(value, "data:", 5) == 0) {
        if (vidur_path_data_dir(&folder, err))
            return -1;
        return set_path(out, folder.text, value + 5, err);
    }
    const char *slash = config_path ? strrchr(config_path, '/') : NULL;
    if (value[0] == '/' || !slash)
        return set_path(out, "", value, err);
    const int n = (int)(slash - config_path) + 1;
    if (n >= VIDUR_PATH_MAX)
        return set_path(out, config_path, value, err);
    snprintf(folder.text, sizeof folder.text, "%.*s", n, config_path);
    return set_path(out, folder.text, value, err);
}

/* ---- Names of specs ---- */

static const char *suffix_of(const char *text)
{
    const char *slash = strrchr(text, '/');
    const char *dot = strrchr(slash ? slash : text, '.');
    return dot ? dot : "";
}

static bool is_spec_file(const char *identifier)
{
    const char *suffix = suffix_of(identifier);
    return strcasecmp(suffix, ".yaml") == 0 || strcasecmp(suffix, ".yml") == 0 ||
           strcasecmp(suffix, ".json") == 0;
}

static void name_of(const char *identifier, char *name, size_t size)
{
    const char *slash = strrchr(identifier, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : identifier);
    for (char *p = name; *p; p++)
        *p = *p == ' ' ? '-' : (char)tolower((unsigned char)*p);
}

enum { MAX_NAMES = 256 };

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The specs in a folder, without their suffix, sorted; the caller frees each. */
static int list_names(const char *folder, char *names[MAX_NAMES])
{
    DIR *dir = opendir(folder);
    int count = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry; count < MAX_NAMES && (entry = readdir(dir));) {
        const char *suffix = suffix_of(entry->d_name);
        if (entry->d_name[0] == '.' || strcmp(suffix, ".yaml") != 0)
            continue;
        names[count] = strndup(entry->d_name, (size_t)(suffix - entry->d_name));
        count += names[count] != NULL;
    }
    closedir(dir);
    qsort(names, (size_t)count, sizeof *names, compare_names);
    return count;
}

static int fail_unknown(const char *kind, const char *identifier, const char *folder,
                        struct vidur_error *err)
{
    char *names[MAX_NAMES], wanted[128], list[640] = "";
    const int count = list_names(folder, names);
    name_of(identifier, wanted, sizeof wanted);
    const char *nearest = vidur_text_nearest(wanted, (const char *const *)names, count);
    size_t used = 0;
    for (int i = 0; i < count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                                 names[i]);
    if (count > 0)
        vidur_fail(err, VIDUR_EINVAL,
                   "'%.100s' is not in data/%s; the nearest is '%s' (known: %s)",
                   identifier, kind, nearest ? nearest : "", list);
    else
        vidur_fail(err, VIDUR_EINVAL,
                   "'%.100s': %.400s has no specs; set VIDUR_DATA_DIR", identifier,
                   folder);
    for (int i = 0; i < count; i++)
        free(names[i]);
    return -1;
}

int vidur_path_each_spec(const char *kind,
                         int (*visit)(void *context, const char *name), void *context,
                         struct vidur_error *err)
{
    struct vidur_path data, folder;
    char *names[MAX_NAMES];
    if (vidur_path_data_dir(&data, err) || set_path(&folder, data.text, kind, err))
        return -1;
    const int count = list_names(folder.text, names);
    int status = 0;
    for (int i = 0; i < count; i++) {
        if (status == 0)
            status = visit(context, names[i]);
        free(names[i]);
    }
    return status;
}

int vidur_path_spec(const char *config_path, const char *kind, const char *identifier,
                    struct vidur_path *out, struct vidur_error *err)
{
    struct vidur_path folder;
    char name[160];
    const char *slash = strrchr(identifier, '/');
    if (is_spec_file(identifier))
        return vidur_path_resolve(config_path, identifier, out, err);
    if (vidur_path_data_dir(out, err) || set_path(&folder, out->text, kind, err))
        return -1;
    name_of(identifier, name, sizeof name - 5);
    const bool whole = strlen(slash ? slash + 1 : identifier) == strlen(name);
    const bool named = name[0] && name[0] != '.' && whole;
    strcat(name, ".yaml");
    if (!named || set_path(out, folder.text, name, NULL) ||
        !vidur_file_exists(out->text))
        return fail_unknown(kind, identifier, folder.text, err);
    return 0;
}
