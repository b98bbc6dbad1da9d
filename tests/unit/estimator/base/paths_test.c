#include "scratch.h"

#include <vidur/paths.h>

#include <sys/stat.h>

static void use_data(const char *folder)
{
    if (folder)
        setenv("VIDUR_DATA_DIR", folder, 1);
    else
        unsetenv("VIDUR_DATA_DIR");
}

static void test_source_data_is_found(void)
{
    struct vidur_path path;
    struct vidur_error err = {0};
    use_data(NULL);
    CU_ASSERT_EQUAL(vidur_path_data_dir(&path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text, VIDUR_TEST_SOURCE_DIR "/data");
}

static void test_environment_wins(void)
{
    struct vidur_path path;
    struct vidur_error err = {0};
    use_data("/tmp");
    CU_ASSERT_EQUAL(vidur_path_data_dir(&path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text, "/tmp");
    use_data("/nowhere");
    CU_ASSERT_EQUAL(vidur_path_data_dir(&path, &err), -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "VIDUR_DATA_DIR: /nowhere is not a folder; unset it, or "
                           "name the folder with models/ and skus/");
    use_data(NULL);
}

static void test_resolve(void)
{
    static const struct {
        const char *config, *value, *expected;
    } cases[] = {
        {"configs/a.yaml", "traces/t.csv", "configs/traces/t.csv"},
        {"/etc/a.yaml", "t.csv", "/etc/t.csv"},
        {"/a.yaml", "t.csv", "/t.csv"},
        {"a.yaml", "t.csv", "t.csv"},
        {"-", "t.csv", "t.csv"},
        {NULL, "t.csv", "t.csv"},
        {"configs/a.yaml", "/abs/t.csv", "/abs/t.csv"},
        {"configs/a.yaml", "../t.csv", "configs/../t.csv"},
        {"configs/a.yaml", "data:traces/t.csv", "/tmp/traces/t.csv"},
    };
    use_data("/tmp");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vidur_path path;
        CU_ASSERT_EQUAL(
            vidur_path_resolve(cases[i].config, cases[i].value, &path, NULL), 0);
        CU_ASSERT_STRING_EQUAL(path.text, cases[i].expected);
    }
    use_data(NULL);
}

static void test_bad_paths(void)
{
    struct vidur_path path;
    struct vidur_error err = {0};
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    CU_ASSERT_EQUAL(vidur_path_resolve("a/b", big, &path, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "at most 1023 are supported"));
    CU_ASSERT_EQUAL(vidur_path_resolve("a/b", "", &path, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "an empty path"));
    big[1500] = '/';
    CU_ASSERT_EQUAL(vidur_path_resolve(big, "x", &path, &err), -1);
    CU_ASSERT_EQUAL(vidur_path_join("a", "b", &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text, "a/b");
    CU_ASSERT_EQUAL(vidur_path_join("a/", "b", &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text, "a/b");
}

/* A data folder of our own: models/{a-model,other-7b}.yaml. */
static void make_data(char *folder, size_t size)
{
    char path[600];
    snprintf(folder, size, "%s", scratch_path(""));
    snprintf(path, sizeof path, "%s/models", folder);
    mkdir(path, 0777);
    scratch_file("models/a-model.yaml", "x", 1);
    scratch_file("models/other-7b.yaml", "x", 1);
    scratch_file("models/notes.txt", "x", 1);
    use_data(folder);
}

static void drop_data(void)
{
    unlink(scratch_path("models/a-model.yaml"));
    unlink(scratch_path("models/other-7b.yaml"));
    unlink(scratch_path("models/notes.txt"));
    use_data(NULL);
}

static void test_specs(void)
{
    static const char *const same[] = {"a-model", "A-Model", "org/A-Model", "A model"};
    struct vidur_path path;
    struct vidur_error err = {0};
    char folder[512];
    make_data(folder, sizeof folder);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(vidur_path_spec("c/x.yaml", "models", same[i], &path, &err), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(path.text, "models/a-model.yaml"));
    }
    CU_ASSERT_EQUAL(vidur_path_spec("c/x.yaml", "models", "m/my.yaml", &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text, "c/m/my.yaml");
    CU_ASSERT_EQUAL(vidur_path_spec("c/x.yaml", "models", "config.json", &path, &err),
                    0);
    CU_ASSERT_STRING_EQUAL(path.text, "c/config.json");
    CU_ASSERT_EQUAL(vidur_path_spec("c/x.yaml", "models", "org/Othr-7b", &path, &err),
                    -1);
    CU_ASSERT_STRING_EQUAL(err.text,
                           "'org/Othr-7b' is not in data/models; the nearest is "
                           "'other-7b' (known: a-model, other-7b)");
    CU_ASSERT_EQUAL(vidur_path_spec(NULL, "models", "..", &path, &err), -1);
    char longer[200]; /* not a spec of which it begins with the name */
    memset(longer, 'z', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    char cut[180] = "models/";
    memcpy(cut + 7, longer, 154);
    strcpy(cut + 7 + 154, ".yaml");
    scratch_file(cut, "x", 1);
    CU_ASSERT_EQUAL(vidur_path_spec(NULL, "models", longer, &path, &err), -1);
    CU_ASSERT_EQUAL(vidur_path_spec(NULL, "models", longer + 45, &path, &err), 0);
    unlink(scratch_path(cut));
    CU_ASSERT_EQUAL(vidur_path_spec(NULL, "models", "", &path, &err), -1);
    CU_ASSERT_EQUAL(vidur_path_spec(NULL, "skus", "a100", &path, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "has no specs; set VIDUR_DATA_DIR"));
    drop_data();
}

struct seen {
    char names[64];
    int stop_at;
};

static int see(void *context, const char *name)
{
    struct seen *seen = context;
    strcat(seen->names, name);
    strcat(seen->names, ";");
    return --seen->stop_at == 0 ? 7 : 0;
}

static void test_each_spec(void)
{
    struct seen seen = {"", 0};
    struct vidur_error err = {0};
    char folder[512];
    make_data(folder, sizeof folder);
    CU_ASSERT_EQUAL(vidur_path_each_spec("models", see, &seen, &err), 0);
    CU_ASSERT_STRING_EQUAL(seen.names, "a-model;other-7b;");
    seen = (struct seen){"", 1};
    CU_ASSERT_EQUAL(vidur_path_each_spec("models", see, &seen, &err), 7);
    CU_ASSERT_STRING_EQUAL(seen.names, "a-model;");
    seen = (struct seen){"", 0};
    CU_ASSERT_EQUAL(vidur_path_each_spec("nothing", see, &seen, &err), 0);
    CU_ASSERT_STRING_EQUAL(seen.names, "");
    drop_data();
}

static void test_known_models_are_found(void)
{
    struct vidur_path path;
    struct vidur_error err = {0};
    use_data(NULL);
    CU_ASSERT_EQUAL(
        vidur_path_spec(NULL, "models", "meta-llama/Llama-2-70b-hf", &path, &err), 0);
    CU_ASSERT_STRING_EQUAL(path.text,
                           VIDUR_TEST_SOURCE_DIR "/data/models/llama-2-70b-hf.yaml");
}

VIDUR_TEST_MAIN("paths", {"source data is found", test_source_data_is_found},
                {"environment wins", test_environment_wins}, {"resolve", test_resolve},
                {"bad paths", test_bad_paths}, {"specs", test_specs},
                {"each spec", test_each_spec},
                {"known models are found", test_known_models_are_found})
