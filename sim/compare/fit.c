#include "compare/fit.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit_nlinear.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct search {
    const struct vidur_fit_problem *problem;
    struct vidur_error *err;
    bool failed;       /* residuals could not be had */
    double *residuals; /* scratch */
    double best[VIDUR_FIT_MAX_PARAMETERS];
    double best_sum;
    double first_sum;
    int num_evaluations;
};

static double square_sum(const double *values, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += values[i] * values[i];
    return sum;
}

static void keep_best(struct search *search, const double *parameters, double sum)
{
    if (search->num_evaluations++ == 0)
        search->first_sum = sum;
    else if (!(sum < search->best_sum))
        return;
    search->best_sum = sum;
    memcpy(search->best, parameters,
           (size_t)search->problem->num_parameters * sizeof *parameters);
}

/* The vectors may be columns of a matrix. */
static int evaluate(const gsl_vector *point, void *context, gsl_vector *residuals)
{
    struct search *search = context;
    const struct vidur_fit_problem *problem = search->problem;
    double parameters[VIDUR_FIT_MAX_PARAMETERS];
    if (search->failed)
        return GSL_EBADFUNC;
    for (int i = 0; i < problem->num_parameters; i++)
        parameters[i] = gsl_vector_get(point, (size_t)i);
    if (problem->residuals(problem->context, parameters, search->residuals,
                           search->err)) {
        search->failed = true;
        return GSL_EBADFUNC;
    }
    const double sum = square_sum(search->residuals, problem->num_residuals);
    if (!isfinite(sum)) {
        search->failed = true;
        vidur_fail(search->err, VIDUR_EINVAL, "fit: a residual is not finite");
        return GSL_EBADFUNC;
    }
    keep_best(search, parameters, sum);
    for (int i = 0; i < problem->num_residuals; i++)
        gsl_vector_set(residuals, (size_t)i, search->residuals[i]);
    return GSL_SUCCESS;
}

static int minimise(struct search *search, double *parameters, bool *converged)
{
    const struct vidur_fit_problem *problem = search->problem;
    const size_t p = (size_t)problem->num_parameters;
    const size_t n = (size_t)problem->num_residuals;
    gsl_multifit_nlinear_parameters settings =
        gsl_multifit_nlinear_default_parameters();
    settings.h_df = problem->difference;
    gsl_multifit_nlinear_fdf function = {
        .f = evaluate, .n = n, .p = p, .params = search};
    gsl_multifit_nlinear_workspace *work =
        gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &settings, n, p);
    const gsl_vector_view start = gsl_vector_view_array(parameters, p);
    int info = 0, status = work ? GSL_SUCCESS : GSL_ENOMEM;
    if (status == GSL_SUCCESS)
        status = gsl_multifit_nlinear_init(&start.vector, &function, work);
    if (status == GSL_SUCCESS)
        status = gsl_multifit_nlinear_driver((size_t)problem->max_iterations,
                                             problem->tolerance, 0, 0, NULL, NULL,
                                             &info, work);
    if (work)
        gsl_multifit_nlinear_free(work);
    /* Where noise hides all progress, the best point is as good as it gets. */
    *converged = status == GSL_SUCCESS || info == GSL_ENOPROG;
    return status == GSL_ENOMEM || search->failed ? -1 : 0;
}

int vidur_fit(const struct vidur_fit_problem *problem, double *parameters,
              struct vidur_fit_result *result, struct vidur_error *err)
{
    struct search search = {.problem = problem, .err = err};
    if (problem->num_parameters < 1 ||
        problem->num_parameters > VIDUR_FIT_MAX_PARAMETERS ||
        problem->num_residuals < problem->num_parameters)
        return vidur_fail(err, VIDUR_EINVAL,
                          "fit: %d parameters from %d residuals; at most %d, and not "
                          "more than there are residuals",
                          problem->num_parameters, problem->num_residuals,
                          VIDUR_FIT_MAX_PARAMETERS);
    search.residuals =
        malloc((size_t)problem->num_residuals * sizeof *search.residuals);
    if (!search.residuals)
        return vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory");
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    const int status = minimise(&search, parameters, &result->converged);
    gsl_set_error_handler(handler);
    free(search.residuals);
    if (status)
        return search.failed ? -1 : vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory");
    memcpy(parameters, search.best,
           (size_t)problem->num_parameters * sizeof *parameters);
    result->rms_before = sqrt(search.first_sum / problem->num_residuals);
    result->rms = sqrt(search.best_sum / problem->num_residuals);
    result->num_evaluations = search.num_evaluations;
    return 0;
}
