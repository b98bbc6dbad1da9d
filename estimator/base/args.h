#ifndef VIDUR_BASE_ARGS_H
#define VIDUR_BASE_ARGS_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stdio.h>

/*
 * The command line that the four programs share, over getopt_long. Every program has
 * --help, --version, -q/--quiet, -v/--verbose, and --set where it reads a
 * configuration. Nothing here prints unless it is given a stream, and nothing exits.
 * Not thread-safe (getopt's state is global): for main() only.
 */

enum { VIDUR_ARGS_MAX_OPTIONS = 32 };

struct vidur_args_option {
    const char *name;  /* "output" */
    char letter;       /* 'o', or 0 */
    const char *value; /* "DIR", or NULL for a flag */
    const char *help;  /* with default and unit; lines are wrapped */
};

struct vidur_args_spec {
    const char *program;   /* "vidur-simulate" */
    const char *arguments; /* "CONFIG.yaml [-o DIR]" */
    const char *summary;   /* one paragraph */
    const struct vidur_args_option *options;
    int num_options;
    bool takes_set; /* --set KEY.PATH=VALUE */
    int min_positional, max_positional;
    const char *examples[6];      /* ends with NULL */
    const char *const *libraries; /* beside vidur_libraries(): "HDF5 1.10.8", ends with
                                      NULL; or NULL */
};

struct vidur_args {
    bool help, version, quiet, verbose;
    bool man; /* --print-man-page, which the build calls and --help leaves out */
    const char *values[VIDUR_ARGS_MAX_OPTIONS]; /* as the spec's options; "" for a flag
                                                   given; NULL: not given */
    const char **sets;
    int num_sets;
    /* every option with a value, in the order given: its place in the spec, its value
     */
    int *given_options;
    const char **given_values;
    int num_given;
    const char **positional;
    int num_positional;
    const struct vidur_args_spec *spec;
};

/* Texts point into argv. With --help, --version or --print-man-page the rest is not
 * checked. Release also after a failure. */
int vidur_args_parse(struct vidur_args *args, const struct vidur_args_spec *spec,
                     int argc, char **argv, struct vidur_error *err);
void vidur_args_release(struct vidur_args *args);

/* An option's value by its name; NULL: not given, or not in the spec. */
const char *vidur_args_value(const struct vidur_args *args, const char *name);
bool vidur_args_given(const struct vidur_args *args, const char *name);
/* Of an option that may be given many times, the values in their order; *at is 0 at
 * first. NULL: no more. */
const char *vidur_args_next(const struct vidur_args *args, const char *name, int *at);
/* Its number, left alone when not given. */
int vidur_args_double(const struct vidur_args *args, const char *name, double *out,
                      struct vidur_error *err);
int vidur_args_int(const struct vidur_args *args, const char *name, int *out,
                   struct vidur_error *err);

/* Prints what --help, --version or --print-man-page asks for; false: none of them is
 * given. */
bool vidur_args_answer(const struct vidur_args *args, FILE *out);
void vidur_args_print_help(const struct vidur_args_spec *spec, FILE *out);
/* The same as a manual page of section 1, in roff. */
void vidur_args_print_man(const struct vidur_args_spec *spec, FILE *out);
void vidur_args_print_version(const struct vidur_args_spec *spec, FILE *out);

#endif
