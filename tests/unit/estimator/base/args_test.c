#include "base/args.h"
#include "base/version.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static const struct vidur_args_option options[] = {
    {"output", 'o', "DIR",
     "Folder for the results, made where it is missing. Default: the name of the "
     "configuration without its suffix, in the working directory."},
    {"resume", 0, NULL, "Go on where an earlier run stopped."},
    {"top", 0, "N", "Rows to print. Default: 10."},
};
static const char *const libraries[] = {"HDF5 1.10.8", "MPI 3.1", NULL};

static const struct vidur_args_spec spec = {
    .program = "vidur-test",
    .arguments = "CONFIG.yaml [-o DIR]",
    .summary = "Tests the command line.",
    .options = options,
    .num_options = 3,
    .takes_set = true,
    .min_positional = 1,
    .max_positional = 2,
    .examples = {"vidur-test a.yaml", "vidur-test a.yaml -o out --set seed=3"},
    .libraries = libraries,
};

enum { MAX_WORDS = 12 };

/* Splits a command line at blanks; `line` must stay. */
static int parse(struct vidur_args *args, const char *line, struct vidur_error *err)
{
    static char buffer[256];
    char *argv[MAX_WORDS + 1] = {0};
    int argc = 0;
    snprintf(buffer, sizeof buffer, "vidur-test %s", line);
    for (char *word = strtok(buffer, " "); word && argc < MAX_WORDS;
         word = strtok(NULL, " "))
        argv[argc++] = word;
    return vidur_args_parse(args, &spec, argc, argv, err);
}

static void test_all_options(void)
{
    struct vidur_args args;
    struct vidur_error err = {0};
    int top = 10;
    CU_ASSERT_EQUAL_FATAL(parse(&args,
                                "a.yaml -q -o out --set a=1 b.h5 --resume -v "
                                "--set=b.c=2 --top=3",
                                &err),
                          0);
    CU_ASSERT(args.quiet && args.verbose && !args.help && !args.version);
    CU_ASSERT_EQUAL_FATAL(args.num_positional, 2);
    CU_ASSERT_STRING_EQUAL(args.positional[0], "a.yaml");
    CU_ASSERT_STRING_EQUAL(args.positional[1], "b.h5");
    CU_ASSERT_EQUAL_FATAL(args.num_sets, 2);
    CU_ASSERT_STRING_EQUAL(args.sets[0], "a=1");
    CU_ASSERT_STRING_EQUAL(args.sets[1], "b.c=2");
    CU_ASSERT_STRING_EQUAL(vidur_args_value(&args, "output"), "out");
    CU_ASSERT_TRUE(vidur_args_given(&args, "resume"));
    CU_ASSERT_EQUAL(vidur_args_int(&args, "top", &top, &err), 0);
    CU_ASSERT_EQUAL(top, 3);
    vidur_args_release(&args);
}

static void test_nothing_given(void)
{
    struct vidur_args args;
    int top = 10;
    double value = 1.5;
    CU_ASSERT_EQUAL_FATAL(parse(&args, "a.yaml", NULL), 0);
    CU_ASSERT_PTR_NULL(vidur_args_value(&args, "output"));
    CU_ASSERT_FALSE(vidur_args_given(&args, "resume"));
    CU_ASSERT_EQUAL(vidur_args_int(&args, "top", &top, NULL), 0);
    CU_ASSERT_EQUAL(vidur_args_double(&args, "top", &value, NULL), 0);
    CU_ASSERT(top == 10 && value == 1.5);
    vidur_args_release(&args);
}

static void test_dashes_end_options(void)
{
    struct vidur_args args;
    CU_ASSERT_EQUAL_FATAL(parse(&args, "-- --top -q", NULL), 0);
    CU_ASSERT_EQUAL_FATAL(args.num_positional, 2);
    CU_ASSERT_STRING_EQUAL(args.positional[0], "--top");
    CU_ASSERT_FALSE(args.quiet);
    vidur_args_release(&args);
}

static void test_help_needs_nothing_else(void)
{
    static const char *const lines[] = {"--help", "-h", "--version", "x y z --help"};
    for (int i = 0; i < 4; i++) {
        struct vidur_args args;
        CU_ASSERT_EQUAL(parse(&args, lines[i], NULL), 0);
        CU_ASSERT_NOT_EQUAL(args.help, args.version);
        vidur_args_release(&args);
    }
}

static void test_errors(void)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        {"", "arguments are missing: vidur-test CONFIG.yaml [-o DIR]"},
        {"a b c", "unexpected argument 'c': vidur-test CONFIG.yaml [-o DIR]"},
        {"a --outptu x",
         "unknown option --outptu; the nearest is --output, see vidur-test --help"},
        {"a --outptu=x",
         "unknown option --outptu; the nearest is --output, see vidur-test --help"},
        {"a -x", "unknown option -x; see vidur-test --help"},
        {"a -qx", "unknown option -x; see vidur-test --help"},
        {"a --resume=yes", "--resume takes no value"},
        {"a --top", "--top needs a value"},
        {"a -o", "-o needs a value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_args args;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(parse(&args, cases[i].line, &err), -1);
        CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
        CU_ASSERT_STRING_EQUAL(err.text, cases[i].error);
        vidur_args_release(&args);
    }
}

static void test_bad_numbers(void)
{
    struct vidur_args args;
    struct vidur_error err = {0};
    int top = 10;
    double value = 1.5;
    CU_ASSERT_EQUAL_FATAL(parse(&args, "a --top 3x", NULL), 0);
    CU_ASSERT_EQUAL(vidur_args_int(&args, "top", &top, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "--top: '3x' is not a whole number of at most 2147483647");
    CU_ASSERT_EQUAL(vidur_args_double(&args, "top", &value, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text, "--top: '3x' is not a finite number");
    CU_ASSERT(top == 10 && value == 1.5);
    vidur_args_release(&args);
}

static char *printed(void (*print)(const struct vidur_args_spec *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    print(&spec, out);
    fclose(out);
    return text;
}

static void test_help_text(void)
{
    static const char *const parts[] = {"Usage: vidur-test CONFIG.yaml [-o DIR]\n",
                                        "Tests the command line.\n",
                                        "  -o, --output DIR\n",
                                        "      --top N\n",
                                        "  -h, --help\n",
                                        "  -q, --quiet\n",
                                        "  -v, --verbose\n",
                                        "      --set KEY.PATH=VALUE\n",
                                        "Default: 10.\n",
                                        "Examples:\n  vidur-test a.yaml\n",
                                        "      --version\n",
                                        "  vidur-test a.yaml -o out --set seed=3\n"};
    char *text = printed(vidur_args_print_help);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text, parts[i]));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        CU_ASSERT(strlen(line) <= 80);
    free(text);
}

static void test_man_page(void)
{
    static const struct vidur_args_option hard[] = {
        {"dot-dash", 'd', "A-B", ".hidden is the suffix, C:\\temp the folder."}};
    const struct vidur_args_spec other = {.program = "vidur-test",
                                          .arguments = "'A`^~",
                                          .summary = ".Starts with a dot: so it does.",
                                          .options = hard,
                                          .num_options = 1,
                                          .examples = {".x"}};
    static const char *const parts[] = {
        ".TH \"vidur-test\" 1 \"\" ",
        ".SH SYNOPSIS\n.B vidur\\-test\n\\(aqA\\(ga\\(ha\\(ti\n",
        ".SH DESCRIPTION\n\\&.Starts with a dot: so it does.\n",
        (".TP\n\\fB\\-d\\fR, \\fB\\-\\-dot\\-dash\\fR \\fIA\\-B\\fR\n"
         "\\&.hidden is the suffix, C:\\etemp the folder.\n"),
        ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\n",
        ".SH EXAMPLES\n.nf\n\\&.x\n.fi\n"};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    vidur_args_print_man(&other, out);
    fclose(out);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CU_ASSERT_PTR_NOT_NULL(strstr(text, parts[i]));
    CU_ASSERT_PTR_NULL(strstr(text, "\\-\\-set")); /* it takes none */
    free(text);

    text = printed(vidur_args_print_man);
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, ".SH NAME\nvidur\\-test \\- tests the command line\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\\-\\-set\\fR \\fIKEY.PATH=VALUE"));
    free(text);
}

static void test_hidden_option(void)
{
    struct vidur_args args;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(parse(&args, "--print-man-page", NULL), 0);
    CU_ASSERT(args.man && !args.help && !args.version);
    vidur_args_release(&args);
    /* It is nobody's nearest option, and no abbreviation became ambiguous. */
    CU_ASSERT_EQUAL(parse(&args, "a --print-man-pag=x", &err), -1);
    CU_ASSERT_PTR_NULL(strstr(err.text, "nearest is --print"));
    vidur_args_release(&args);
    CU_ASSERT_EQUAL(parse(&args, "--he", NULL), 0);
    CU_ASSERT_TRUE(args.help);
    vidur_args_release(&args);
    char *text = printed(vidur_args_print_help);
    CU_ASSERT_PTR_NULL(strstr(text, "print-man-page"));
    free(text);
}

/* What a program prints before it does anything, or instead. */
static void test_answer(void)
{
    static const struct {
        const char *line, *begins; /* NULL: nothing */
    } cases[] = {{"--help", "Usage: vidur-test"},
                 {"--version", "vidur-test "},
                 {"--print-man-page", ".TH "},
                 {"a", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_args args;
        char *text = NULL;
        size_t size = 0;
        CU_ASSERT_EQUAL_FATAL(parse(&args, cases[i].line, NULL), 0);
        FILE *out = open_memstream(&text, &size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(out);
        CU_ASSERT_EQUAL(vidur_args_answer(&args, out), cases[i].begins != NULL);
        fclose(out);
        const char *begins = cases[i].begins ? cases[i].begins : "";
        CU_ASSERT_EQUAL(strncmp(text, begins, strlen(begins)), 0);
        CU_ASSERT(cases[i].begins || size == 0);
        free(text);
        vidur_args_release(&args);
    }
}

static void test_version_text(void)
{
    char expected[400];
    char *text = printed(vidur_args_print_version);
    snprintf(expected, sizeof expected,
             "vidur-test %s (commit %s, %s)\nwith %s, HDF5 1.10.8, MPI 3.1\n",
             vidur_version(), vidur_git_commit(), vidur_compiler(), vidur_libraries());
    CU_ASSERT_STRING_EQUAL(text, expected);
    CU_ASSERT(strlen(vidur_git_commit()) >= 7);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "libyaml 0."));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "libcsv 3."));
    free(text);
}

static void test_many_times(void)
{
    struct vidur_args args;
    struct vidur_error err = {0};
    int at = 0;
    CU_ASSERT_EQUAL_FATAL(
        parse(&args, "a.yaml --top=1 -o x --set a=1 --top 2 --resume --top=3", &err),
        0);
    CU_ASSERT_STRING_EQUAL(vidur_args_next(&args, "top", &at), "1");
    CU_ASSERT_STRING_EQUAL(vidur_args_next(&args, "top", &at), "2");
    CU_ASSERT_STRING_EQUAL(vidur_args_next(&args, "top", &at), "3");
    CU_ASSERT_PTR_NULL(vidur_args_next(&args, "top", &at));
    at = 0;
    CU_ASSERT_STRING_EQUAL(vidur_args_next(&args, "output", &at), "x");
    CU_ASSERT_PTR_NULL(vidur_args_next(&args, "output", &at));
    at = 0;
    CU_ASSERT_PTR_NULL(vidur_args_next(&args, "none", &at));
    CU_ASSERT_STRING_EQUAL(vidur_args_value(&args, "top"), "3"); /* the last */
    vidur_args_release(&args);
}

VIDUR_TEST_MAIN("args", {"all options", test_all_options},
                {"many times", test_many_times}, {"nothing given", test_nothing_given},
                {"dashes end options", test_dashes_end_options},
                {"help needs nothing else", test_help_needs_nothing_else},
                {"errors", test_errors}, {"bad numbers", test_bad_numbers},
                {"help text", test_help_text}, {"man page", test_man_page},
                {"hidden option", test_hidden_option},
                {"version text", test_version_text}, {"answer", test_answer})
