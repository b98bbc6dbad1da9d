#ifndef VIDUR_PATHS_H
#define VIDUR_PATHS_H

#include <vidur/error.h>

/*
 * Where files are: the data folder, and paths as configurations write them.
 *
 * The data folder (models/, skus/, profiles/, traces/) is, in this order: the
 * environment variable VIDUR_DATA_DIR; ../share/vidur-search/data beside the running
 * program's folder; the source tree's data/; the prefix that the build was configured
 * for. Thread-safe as long as nobody changes the environment.
 */

enum { VIDUR_PATH_MAX = 1024 };

struct vidur_path {
    char text[VIDUR_PATH_MAX];
};

int vidur_path_data_dir(struct vidur_path *out, struct vidur_error *err);

/* A path as written in the configuration `config_path`: absolute paths stay,
 * `data:NAME` is NAME in the data folder, others are relative to the folder of
 * config_path (to the working directory where that is NULL or "-"). Does not look
 * whether the file exists. */
int vidur_path_resolve(const char *config_path, const char *value,
                       struct vidur_path *out, struct vidur_error *err);

/* The spec file that `identifier` names. An identifier with the suffix .yaml, .yml or
 * .json is a path, resolved as above. Any other is a name: data/KIND/NAME.yaml with
 * NAME its last path component in lower case, spaces as '-' (meta-llama/Llama-2-70b-hf
 * -> data/models/llama-2-70b-hf.yaml). KIND is "models" or "skus". The error of an
 * unknown name gives the nearest known one and lists the others. */
int vidur_path_spec(const char *config_path, const char *kind, const char *identifier,
                    struct vidur_path *out, struct vidur_error *err);

/* Calls `visit` with the name of every spec in data/KIND, in alphabetical order, until
 * it returns other than 0, which is returned then. */
int vidur_path_each_spec(const char *kind,
                         int (*visit)(void *context, const char *name), void *context,
                         struct vidur_error *err);

/* FOLDER/NAME; an error when that is too long. */
int vidur_path_join(const char *folder, const char *name, struct vidur_path *out,
                    struct vidur_error *err);

#endif
