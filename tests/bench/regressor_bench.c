/*
 * Selects and fits a regressor to samples from a CSV file (feature0[,feature1],
 * target_ms) and says how that went: what sklearn_compare.py puts beside scikit-learn.
 */
#include <vidur/csv.h>
#include <vidur/forest.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int read_samples(const char *path, struct vidur_samples *samples,
                        struct vidur_error *err)
{
    static const struct vidur_csv_column columns[] = {
        {"feature0", VIDUR_CSV_DOUBLE, 0},
        {"feature1", VIDUR_CSV_DOUBLE, VIDUR_CSV_OPTIONAL},
        {"target_ms", VIDUR_CSV_DOUBLE, 0},
    };
    const struct vidur_csv_schema schema = {columns, 3, false};
    struct vidur_csv *csv = vidur_csv_read(path, &schema, err);
    if (!csv)
        return -1;
    memset(samples, 0, sizeof *samples);
    snprintf(samples->name, sizeof samples->name, "bench");
    samples->num_features = vidur_csv_has(csv, 1) ? 2 : 1;
    int rc = vidur_samples_resize(samples, vidur_csv_rows(csv), err);
    for (int64_t i = 0; rc == 0 && i < samples->num_rows; i++) {
        for (int f = 0; f < samples->num_features; f++)
            samples->features[f][i] = vidur_csv_doubles(csv, f)[i];
        samples->target_ms[i] = vidur_csv_doubles(csv, 2)[i];
    }
    vidur_csv_free(csv);
    return rc;
}

static void print(const struct vidur_selection *s, const struct vidur_samples *samples,
                  double cpu_seconds)
{
    printf("{\"rows\": %lld, \"cv_mape\": %.17g, \"in_sample_mape\": %.17g, \"best\": "
           "[%d, %d, %d], \"degree\": %d, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
           (long long)samples->num_rows, s->cv_mape, s->in_sample_mape,
           s->best.num_estimators, s->best.max_depth, s->best.min_samples_split,
           s->best.degree, s->seconds, cpu_seconds);
}

static int run(const char *path, const struct vidur_regressor_grid *grid)
{
    struct vidur_error err;
    struct vidur_samples samples;
    struct vidur_selection selection;
    struct vidur_regression *regression = NULL;
    if (read_samples(path, &samples, &err)) {
        fprintf(stderr, "regressor_bench: %s\n", err.text);
        return 1;
    }
    const clock_t started = clock();
    int rc = vidur_regression_select(&regression, &selection, &samples, grid, &err);
    if (rc)
        fprintf(stderr, "regressor_bench: %s\n", err.text);
    else
        print(&selection, &samples, (double)(clock() - started) / CLOCKS_PER_SEC);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
    return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct vidur_regressor_grid grid;
    vidur_regressor_grid_defaults(&grid);
    const char *path = NULL;
    bool usage = false;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--threads") == 0 && more)
            grid.threads = atoi(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && more)
            grid.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--regressor") == 0 && more)
            snprintf(grid.regressor, sizeof grid.regressor, "%s", argv[++i]);
        else if (argv[i][0] == '-' || path)
            usage = true;
        else
            path = argv[i];
    }
    if (usage || !path) {
        fprintf(stderr, "usage: regressor_bench [--threads N] [--seed N] "
                        "[--regressor NAME] SAMPLES.csv\n");
        return 1;
    }
    return run(path, &grid);
}
