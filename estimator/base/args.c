#include "base/args.h"

#include "base/text.h"
#include "base/version.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns for the options that every program has; the program's own
 * follow from FIRST_OWN on, in the order of its table. */
enum {
    OPT_HELP = 256,
    OPT_VERSION,
    OPT_QUIET,
    OPT_VERBOSE,
    OPT_SET,
    OPT_MAN,
    FIRST_OWN
};

enum { NUM_COMMON = 5, MAX_TABLE = VIDUR_ARGS_MAX_OPTIONS + NUM_COMMON + 2 };

static const struct vidur_args_option common[NUM_COMMON] = {
    {"help", 'h', NULL, "Print this text."},
    {"version", 0, NULL, "Print the version, the git commit and the libraries."},
    {"quiet", 'q', NULL, "No progress and no notes, only errors."},
    {"verbose", 'v', NULL, "Say more about what is done."},
    {"set", 0, "KEY.PATH=VALUE",
     "Override a key of the configuration; VALUE is YAML. May be given many times."},
};

/* For the build alone; its first letters abbreviate no other option. */
static const struct vidur_args_option man_option = {"print-man-page", 0, NULL, ""};

struct getopt_tables {
    struct option longs[MAX_TABLE];
    char letters[2 * MAX_TABLE + 2];
};

/* ---- Parsing ---- */

static void add_option(struct getopt_tables *tables, int *count,
                       const struct vidur_args_option *option, int id)
{
    tables->longs[(*count)++] = (struct option){
        option->name, option->value ? required_argument : no_argument, NULL, id};
    if (option->letter) {
        const size_t n = strlen(tables->letters);
        tables->letters[n] = option->letter;
        if (option->value)
            tables->letters[n + 1] = ':';
    }
}

static void make_tables(const struct vidur_args_spec *spec,
                        struct getopt_tables *tables)
{
    int count = 0;
    *tables = (struct getopt_tables){.letters = ":"}; /* tell a missing value apart */
    for (int i = 0; i < NUM_COMMON; i++)
        if (spec->takes_set || OPT_HELP + i != OPT_SET)
            add_option(tables, &count, &common[i], OPT_HELP + i);
    for (int i = 0; i < spec->num_options; i++)
        add_option(tables, &count, &spec->options[i], FIRST_OWN + i);
    add_option(tables, &count, &man_option, OPT_MAN);
}

/* The id of an option given by its letter; getopt returns the letter itself. */
static int id_of(const struct vidur_args_spec *spec, int found)
{
    if (found >= OPT_HELP)
        return found;
    for (int i = 0; i < NUM_COMMON; i++)
        if (common[i].letter == found)
            return OPT_HELP + i;
    for (int i = 0; i < spec->num_options; i++)
        if (spec->options[i].letter == found)
            return FIRST_OWN + i;
    return found;
}

/* getopt leaves the letter of an unknown short option in optopt, and 0 or an id of ours
 * for a long one, which is the last argument it looked at. */
static int fail_option(const struct vidur_args_spec *spec,
                       const struct getopt_tables *tables, const char *given,
                       struct vidur_error *err)
{
    const char *names[MAX_TABLE];
    char name[64];
    int count = 0;
    if (optopt > 0 && optopt < OPT_HELP)
        return vidur_fail(err, VIDUR_EINVAL, "unknown option -%c; see %s --help",
                          optopt, spec->program);
    given += strspn(given, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
    if (optopt >= OPT_HELP)
        return vidur_fail(err, VIDUR_EINVAL, "--%s takes no value", name);
    for (; tables->longs[count].val != OPT_MAN; count++)
        names[count] = tables->longs[count].name;
    return vidur_fail(err, VIDUR_EINVAL,
                      "unknown option --%s; the nearest is --%s, see %s --help", name,
                      vidur_text_nearest(name, names, count), spec->program);
}

static void take_option(struct vidur_args *args, int id)
{
    switch (id) {
    case OPT_HELP:
        args->help = true;
        break;
    case OPT_VERSION:
        args->version = true;
        break;
    case OPT_MAN:
        args->man = true;
        break;
    case OPT_QUIET:
        args->quiet = true;
        break;
    case OPT_VERBOSE:
        args->verbose = true;
        break;
    case OPT_SET:
        args->sets[args->num_sets++] = optarg;
        break;
    default:
        args->values[id - FIRST_OWN] = optarg ? optarg : "";
        if (optarg) {
            args->given_options[args->num_given] = id - FIRST_OWN;
            args->given_values[args->num_given++] = optarg;
        }
    }
}

static int take_options(struct vidur_args *args, int argc, char **argv,
                        struct vidur_error *err)
{
    struct getopt_tables tables;
    make_tables(args->spec, &tables);
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    for (;;) {
        const int found = getopt_long(argc, argv, tables.letters, tables.longs, NULL);
        if (found == -1)
            return 0;
        if (found == ':')
            return vidur_fail(err, VIDUR_EINVAL, "%s needs a value", argv[optind - 1]);
        if (found == '?')
            return fail_option(args->spec, &tables, argv[optind - 1], err);
        take_option(args, id_of(args->spec, found));
    }
}

static int take_positional(struct vidur_args *args, int argc, char **argv,
                           struct vidur_error *err)
{
    const struct vidur_args_spec *spec = args->spec;
    while (optind < argc)
        args->positional[args->num_positional++] = argv[optind++];
    if (args->help || args->version || args->man)
        return 0;
    if (args->num_positional < spec->min_positional)
        return vidur_fail(err, VIDUR_EINVAL, "arguments are missing: %s %s",
                          spec->program, spec->arguments);
    if (args->num_positional > spec->max_positional)
        return vidur_fail(err, VIDUR_EINVAL, "unexpected argument '%s': %s %s",
                          args->positional[spec->max_positional], spec->program,
                          spec->arguments);
    return 0;
}

int vidur_args_parse(struct vidur_args *args, const struct vidur_args_spec *spec,
                     int argc, char **argv, struct vidur_error *err)
{
    *args = (struct vidur_args){.spec = spec};
    if (spec->num_options > VIDUR_ARGS_MAX_OPTIONS)
        return vidur_fail(err, VIDUR_EINVAL, "%s: %d options where at most %d fit",
                          spec->program, spec->num_options, VIDUR_ARGS_MAX_OPTIONS);
    args->sets = calloc((size_t)argc + 1, sizeof *args->sets);
    args->positional = calloc((size_t)argc + 1, sizeof *args->positional);
    args->given_options = calloc((size_t)argc + 1, sizeof *args->given_options);
    args->given_values = calloc((size_t)argc + 1, sizeof *args->given_values);
    if (!args->sets || !args->positional || !args->given_options || !args->given_values)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    if (take_options(args, argc, argv, err))
        return -1;
    return take_positional(args, argc, argv, err);
}

void vidur_args_release(struct vidur_args *args)
{
    free(args->sets);
    free(args->positional);
    free(args->given_options);
    free(args->given_values);
    args->given_options = NULL;
    args->given_values = NULL;
    args->sets = NULL;
    args->positional = NULL;
}

/* ---- Access ---- */

const char *vidur_args_value(const struct vidur_args *args, const char *name)
{
    for (int i = 0; i < args->spec->num_options; i++)
        if (strcmp(args->spec->options[i].name, name) == 0)
            return args->values[i];
    return NULL;
}

bool vidur_args_given(const struct vidur_args *args, const char *name)
{
    return vidur_args_value(args, name) != NULL;
}

const char *vidur_args_next(const struct vidur_args *args, const char *name, int *at)
{
    while (*at < args->num_given) {
        const int i = (*at)++;
        if (strcmp(args->spec->options[args->given_options[i]].name, name) == 0)
            return args->given_values[i];
    }
    return NULL;
}

int vidur_args_double(const struct vidur_args *args, const char *name, double *out,
                      struct vidur_error *err)
{
    const char *text = vidur_args_value(args, name);
    if (text && !vidur_text_double(text, out))
        return vidur_fail(err, VIDUR_EINVAL, "--%s: '%s' is not a finite number", name,
                          text);
    return 0;
}

int vidur_args_int(const struct vidur_args *args, const char *name, int *out,
                   struct vidur_error *err)
{
    const char *text = vidur_args_value(args, name);
    int64_t value;
    if (!text)
        return 0;
    if (!vidur_text_int64(text, &value) || value < INT_MIN || value > INT_MAX)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--%s: '%s' is not a whole number of at most %d", name, text,
                          INT_MAX);
    *out = (int)value;
    return 0;
}

/* ---- Printing ---- */

enum { WIDTH = 80, INDENT = 6 };

/* Words of `text`, each line indented and at most WIDTH columns wide. */
static void print_wrapped(const char *text, int indent, FILE *out)
{
    int column = 0;
    while (*text) {
        const int length = (int)strcspn(text, " ");
        if (column > 0 && column + 1 + length > WIDTH) {
            putc('\n', out);
            column = 0;
        }
        column += column ? fprintf(out, " %.*s", length, text)
                         : fprintf(out, "%*s%.*s", indent, "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    putc('\n', out);
}

static void print_option(const struct vidur_args_option *option, FILE *out)
{
    if (option->letter)
        fprintf(out, "  -%c, --%s", option->letter, option->name);
    else
        fprintf(out, "      --%s", option->name);
    fprintf(out, "%s%s\n", option->value ? " " : "",
            option->value ? option->value : "");
    print_wrapped(option->help, INDENT + 4, out);
}

void vidur_args_print_help(const struct vidur_args_spec *spec, FILE *out)
{
    fprintf(out, "Usage: %s %s\n\n", spec->program, spec->arguments);
    print_wrapped(spec->summary, 0, out);
    fprintf(out, "\nOptions:\n");
    for (int i = 0; i < spec->num_options; i++)
        print_option(&spec->options[i], out);
    for (int i = 0; i < NUM_COMMON; i++)
        if (spec->takes_set || OPT_HELP + i != OPT_SET)
            print_option(&common[i], out);
    fprintf(out, "\nExamples:\n");
    for (int i = 0; i < 4 && spec->examples[i]; i++)
        fprintf(out, "  %s\n", spec->examples[i]);
}

void vidur_args_print_version(const struct vidur_args_spec *spec, FILE *out)
{
    fprintf(out, "%s %s (commit %s, %s)\n", spec->program, vidur_version(),
            vidur_git_commit(), vidur_compiler());
    fprintf(out, "with %s", vidur_libraries());
    for (int i = 0; spec->libraries && spec->libraries[i]; i++)
        fprintf(out, ", %s", spec->libraries[i]);
    putc('\n', out);
}

/* ---- The manual page ---- */

/* In roff, a hyphen that is to be copied is \-, and a line must not start with a
 * control character. */
static void put_roff(const char *text, FILE *out)
{
    static const struct {
        char plain;
        const char *roff;
    } escapes[] = {{'-', "\\-"},   {'\\', "\\e"},  {'\'', "\\(aq"},
                   {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}};
    if (*text == '.')
        fputs("\\&", out);
    for (; *text; text++) {
        size_t i = 0;
        while (i < sizeof escapes / sizeof *escapes && escapes[i].plain != *text)
            i++;
        if (i < sizeof escapes / sizeof *escapes)
            fputs(escapes[i].roff, out);
        else
            putc(*text, out);
    }
}

static void put_roff_line(const char *text, FILE *out)
{
    put_roff(text, out);
    putc('\n', out);
}

/* "vidur-test \- tests the command line": the summary's first sentence. */
static void put_roff_name(const struct vidur_args_spec *spec, FILE *out)
{
    char sentence[256];
    size_t length = strcspn(spec->summary, ".:");
    snprintf(sentence, sizeof sentence, "%.*s", (int)length, spec->summary);
    sentence[0] = (char)tolower((unsigned char)sentence[0]);
    fputs(".SH NAME\n", out);
    put_roff(spec->program, out);
    fputs(" \\- ", out);
    put_roff_line(sentence, out);
}

static void put_roff_option(const struct vidur_args_option *option, FILE *out)
{
    fputs(".TP\n", out);
    if (option->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", option->letter);
    fputs("\\fB\\-\\-", out);
    put_roff(option->name, out);
    fputs("\\fR", out);
    if (option->value) {
        fputs(" \\fI", out);
        put_roff(option->value, out);
        fputs("\\fR", out);
    }
    putc('\n', out);
    put_roff_line(option->help, out);
}

void vidur_args_print_man(const struct vidur_args_spec *spec, FILE *out)
{
    fprintf(out,
            ".TH \"%s\" 1 \"\" \"vidur\\-search %s\" \"User Commands\"\n.ad l\n.nh\n",
            spec->program, vidur_version());
    put_roff_name(spec, out);
    fputs(".SH SYNOPSIS\n.B ", out);
    put_roff_line(spec->program, out);
    put_roff_line(spec->arguments, out);
    fputs(".SH DESCRIPTION\n", out);
    put_roff_line(spec->summary, out);
    fputs(".SH OPTIONS\n", out);
    for (int i = 0; i < spec->num_options; i++)
        put_roff_option(&spec->options[i], out);
    for (int i = 0; i < NUM_COMMON; i++)
        if (spec->takes_set || OPT_HELP + i != OPT_SET)
            put_roff_option(&common[i], out);
    fputs(".SH EXAMPLES\n.nf\n", out);
    for (int i = 0; i < 4 && spec->examples[i]; i++)
        put_roff_line(spec->examples[i], out);
    fputs(".fi\n", out);
}

bool vidur_args_answer(const struct vidur_args *args, FILE *out)
{
    if (args->help)
        vidur_args_print_help(args->spec, out);
    else if (args->man)
        vidur_args_print_man(args->spec, out);
    else if (args->version)
        vidur_args_print_version(args->spec, out);
    return args->help || args->man || args->version;
}
