#include "tables/timetable_internal.h"

#include "base/text.h"

#include <vidur/paths.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where operator times come from: deciding it, and saying it in one line. */

static const char shipped[] = "data:profiles";

static bool one_layer_stands_for_all(const struct vidur_model_spec *model)
{
    return vidur_model_is_uniform_dense(model) &&
           vidur_precision_is_bf16(&model->precision);
}

bool vidur_timetable_is_priced(const struct vidur_estimator_config *config,
                               const struct vidur_timetable_request *request)
{
    return config->source == VIDUR_SOURCE_KERNELS ||
           (config->source == VIDUR_SOURCE_ROOFLINE &&
            !one_layer_stands_for_all(request->model));
}

static int use_shipped(struct vidur_estimator_config *config, struct vidur_error *err)
{
    struct vidur_path path;
    if (vidur_path_resolve(NULL, shipped, &path, err))
        return -1;
    snprintf(config->profiles[0], sizeof config->profiles[0], "%s", path.text);
    config->num_profiles = 1;
    return 0;
}

static int decide_auto(struct vidur_estimator_config *out,
                       const struct vidur_timetable_request *request,
                       const struct vidur_log *log, struct vidur_error *err)
{
    struct vidur_profile_survey survey;
    if (request->engine || !one_layer_stands_for_all(request->model)) {
        out->source = VIDUR_SOURCE_ROOFLINE;
        return 0;
    }
    if ((out->num_profiles == 0 && use_shipped(out, err)) ||
        vidur_timetable_survey(&survey, out, request, err))
        return -1;
    out->source = survey.has_rows ? VIDUR_SOURCE_PROFILES : VIDUR_SOURCE_ROOFLINE;
    if (survey.has_rows)
        vidur_log_info(log, "estimator.source: auto: profiles of %s on %s, TP %d",
                       request->model->name, request->device->name,
                       request->tensor_parallel_size);
    else
        vidur_log_info(log, "estimator.source: auto: roofline, for %s", survey.missing);
    return 0;
}

/* Refused here, before the cache is looked into: its key does not cover the flag. */
int vidur_timetable_decide(struct vidur_estimator_config *out,
                           const struct vidur_estimator_config *config,
                           const struct vidur_timetable_request *request,
                           const struct vidur_log *log, struct vidur_error *err)
{
    *out = *config;
    if (config->source == VIDUR_SOURCE_AUTO && decide_auto(out, request, log, err))
        return -1;
    if ((out->source == VIDUR_SOURCE_ROOFLINE || out->source == VIDUR_SOURCE_KERNELS) &&
        out->overheads.model_cpu_overhead && !request->engine)
        return vidur_fail(err, VIDUR_EINVAL,
                          "estimator.model_cpu_overhead: %s; use source: profiles, or "
                          "false",
                          out->source == VIDUR_SOURCE_ROOFLINE
                              ? "a roofline knows no CPU times"
                              : "kernel timings have no CPU times");
    return 0;
}

/* ---- Provenance ---- */

/* "data:profiles" rather than where that happens to be. */
static void add_folder(struct vidur_text *text, const char *folder)
{
    struct vidur_path path;
    const bool ours = vidur_path_resolve(NULL, shipped, &path, NULL) == 0 &&
                      strcmp(path.text, folder) == 0;
    vidur_text_adds(text, ours ? shipped : folder);
}

/* "; all_reduce, send_recv from the alpha-beta model of NODE; attention of block size
 * 16", as far as that is so. */
static int add_stand_ins(struct vidur_text *text,
                         const struct vidur_estimator_config *config,
                         const struct vidur_timetable_request *request,
                         struct vidur_error *err)
{
    struct vidur_profile_paths paths;
    struct vidur_profile_survey survey;
    if (vidur_timetable_profile_paths(&paths, config, request, err) ||
        vidur_timetable_survey(&survey, config, request, err))
        return -1;
    const bool all_reduce = request->tensor_parallel_size > 1 &&
                            !paths.files[VIDUR_PROFILE_FILE_all_reduce].text[0];
    const bool send_recv =
        request->pipeline && !paths.files[VIDUR_PROFILE_FILE_send_recv].text[0];
    if (all_reduce || send_recv) {
        vidur_text_adds(text, all_reduce ? "; all_reduce" : "; send_recv");
        vidur_text_adds(text, all_reduce && send_recv ? ", send_recv" : "");
        vidur_text_adds(text, " from the alpha-beta model of ");
        vidur_text_adds(text, request->node->name);
    }
    if (survey.has_rows && !survey.has_block_size) {
        vidur_text_adds(text, "; attention of block size ");
        vidur_text_adds(text, survey.block_sizes);
    }
    return 0;
}

/* What stands in is never cut, the folders are. */
static int describe_profiles(char *out, size_t size,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err)
{
    struct vidur_text folders = {0}, rest = {0};
    int status = add_stand_ins(&rest, config, request, err);
    for (int i = 0; i < config->num_profiles; i++) {
        vidur_text_adds(&folders, i ? ", " : "profiles ");
        add_folder(&folders, config->profiles[i]);
    }
    vidur_text_adds(&folders, "");
    vidur_text_adds(&rest, "");
    if (status == 0 && (folders.failed || rest.failed))
        status = vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    if (status == 0) {
        const size_t room = size - 1 > rest.length ? size - 1 - rest.length : 0;
        const bool fits = folders.length <= room;
        snprintf(out, size, "%.*s%s%s", (int)(fits || room < 3 ? room : room - 3),
                 folders.data, fits ? "" : "...", rest.data);
    }
    free(folders.data);
    free(rest.data);
    return status;
}

/* The end of a long path says more than its beginning. */
static int describe_kernels(char *out, size_t size,
                            const struct vidur_estimator_config *config,
                            const struct vidur_timetable_request *request,
                            struct vidur_error *err)
{
    char borrowed[192] = "";
    const size_t n = strlen(config->kernels);
    if (!request->engine &&
        vidur_timetable_borrowed(borrowed, sizeof borrowed, config, request, err))
        return -1;
    const size_t used = strlen(borrowed) + sizeof "kernels ...";
    const size_t room = size > used ? size - used : 0;
    snprintf(out, size, "kernels %s%s%s", n > room ? "..." : "",
             n > room ? config->kernels + n - room : config->kernels, borrowed);
    return 0;
}

static void describe_roofline(char *out, size_t size,
                              const struct vidur_estimator_config *config,
                              const struct vidur_timetable_request *request)
{
    const bool priced = vidur_timetable_is_priced(config, request);
    snprintf(out, size, "synthetic roofline of %s on %s%s%s", request->device->name,
             request->node->name, priced ? "; constants fitted on " : "",
             priced ? request->device->engine.fitted_on : "");
}

int vidur_timetable_describe(char *text, size_t size,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err)
{
    switch (config->source) {
    case VIDUR_SOURCE_PROFILES:
        return describe_profiles(text, size, config, request, err);
    case VIDUR_SOURCE_TABLES:
        snprintf(text, size, "tables %s", config->tables);
        return 0;
    case VIDUR_SOURCE_KERNELS:
        return describe_kernels(text, size, config, request, err);
    default:
        describe_roofline(text, size, config, request);
        return 0;
    }
}
