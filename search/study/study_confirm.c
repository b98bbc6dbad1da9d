#include "study/study_parts.h"

#include <vidur/ranking.h>

#include <stdlib.h>
#include <string.h>

/*
 * Confirmation: one seed's answer sits on that seed's edge. The best candidates of each
 * model and workload are searched with more seeds once all are known, and again those
 * that come to the top then, until the top is confirmed.
 */

/* ---- What the seeds say together ---- */

static double answer_of(const struct study_path *p)
{
    return p->answer.found ? p->answer.max_qps : 0;
}

/* A path among those of one candidate. */
struct answer {
    double qps; /* or users */
    int64_t path;
};

static int compare_answers(const void *a, const void *b)
{
    const struct answer *x = a, *y = b;
    if (x->qps != y->qps)
        return x->qps < y->qps ? -1 : 1;
    return (x->path > y->path) - (x->path < y->path);
}

/* Served at an answer in users. */
static double qps_of(const struct study *study, const struct answer *answer)
{
    const int64_t candidate = study->paths[answer->path].candidate;
    const struct evaluator_probed *best = study_is_closed(study, candidate)
                                              ? study_best_probe(study, answer->path)
                                              : NULL;
    return best ? best->row.qps : answer->qps;
}

void study_find_replications(const struct study *study, int64_t candidate,
                             struct study_replications *out)
{
    struct answer answers[VIDUR_MAX_REPLICATIONS];
    int count = 0;
    for (int64_t i = candidate; i >= 0 && count < VIDUR_MAX_REPLICATIONS;
         i = study->paths[i].next)
        if (study->paths[i].finished && !study->paths[i].failure)
            answers[count++] = (struct answer){answer_of(&study->paths[i]), i};
    *out = (struct study_replications){.count = count, .speaker = candidate};
    if (count == 0)
        return;
    qsort(answers, (size_t)count, sizeof *answers, compare_answers);
    out->speaker = answers[study->config->target.qps > 0 ? 0 : (count - 1) / 2].path;
    out->low_qps = qps_of(study, &answers[0]);
    out->high_qps = qps_of(study, &answers[count - 1]);
}

/* ---- Who is searched with more seeds ---- */

static int add_up_to(struct study *study, int64_t candidate, int replications,
                     struct vidur_error *err)
{
    const int trace = study->space->candidates[candidate].trace;
    const bool drawn = vidur_workload_is_drawn(&study->config->traces[trace].workload);
    /* A replay has no seed. */
    if (!study->paths[candidate].answer.found || replications < 2 || !drawn)
        return 0;
    return study_add_path(study, candidate, replications - 1, err) < 0 ? -1 : 0;
}

static int add_replications(struct study *study, const struct vidur_ranking_row *rows,
                            const int64_t *order, struct vidur_error *err)
{
    const struct vidur_search_settings *search = &study->config->search;
    const int confirmed = search->replications > VIDUR_CONFIRM_REPLICATIONS
                              ? search->replications
                              : VIDUR_CONFIRM_REPLICATIONS;
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        /* all that is added is counted from what serves most of what is there */
        const bool base = search->confirm_top > 0 && rows[i].added_gpus == 0 &&
                          rows[i].added_qps == 0;
        const bool top =
            (rows[i].rank > 0 && rows[i].rank <= search->confirm_top) || base;
        if (add_up_to(study, order[i], top ? confirmed : search->replications, err) !=
            0)
            return -1;
    }
    return 0;
}

int study_add_replications(struct study *study, struct vidur_error *err)
{
    const size_t count = (size_t)study->space->num_candidates;
    const struct vidur_search_settings *search = &study->config->search;
    /* The reference has one seed. */
    if (study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY ||
        study->config->semantics == VIDUR_SEMANTICS_VIDUR ||
        (search->replications < 2 && search->confirm_top < 1))
        return 0;
    struct vidur_ranking_row *rows = calloc(count + 1, sizeof *rows);
    int64_t *order = calloc(count + 1, sizeof *order);
    int rc = rows && order
                 ? study_rank(study, rows, order, err)
                 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for a ranking");
    if (rc == 0)
        rc = add_replications(study, rows, order, err);
    free(rows);
    free(order);
    return rc;
}
