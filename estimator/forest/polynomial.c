#include "forest/regressor.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_multifit.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Polynomial regression: least squares over the monomials of a degree, by singular
 * value decomposition (GSL), so that fewer samples than monomials or collinear ones are
 * no error.
 *
 * Features are divided by their largest value and columns balanced first: raw token
 * counts to the fifth power would drown the others. The fit is that of plain least
 * squares wherever that is unique. Where it is not, ours is the solution of least norm
 * in the scaled coefficients; scikit-learn's is of least norm in the raw ones, and
 * drops directions that double precision cannot tell apart at the raw scale, so that
 * its fits of degree 4 and 5 are coarser.
 */

/* Monomials of two features up to degree 5. */
enum { MAX_MONOMIALS = (VIDUR_MAX_DEGREE + 1) * (VIDUR_MAX_DEGREE + 2) / 2 };

/* Singular values below this share of the largest count as zero. */
static const double rank_tolerance = 1e-13;

struct basis {
    int num_features;
    int num_monomials;
    int exponent[MAX_MONOMIALS][VIDUR_MAX_FEATURES];
    double scale[VIDUR_MAX_FEATURES];
};

struct polynomial {
    struct vidur_regression base;
    struct basis basis;
    double coefficient[MAX_MONOMIALS];
    double intercept;
};

static void make_basis(struct basis *basis, const struct vidur_cells *cells,
                       const struct vidur_hyperparameters *parameters)
{
    const int most = parameters->interaction_only ? 1 : parameters->degree;
    memset(basis, 0, sizeof *basis);
    basis->num_features = cells->num_features;
    for (int f = 0; f < cells->num_features; f++) {
        const double *values = cells->values[f];
        const double largest =
            fmax(fabs(values[0]), fabs(values[cells->num_values[f] - 1]));
        basis->scale[f] = largest > 0 ? largest : 1;
    }
    for (int i = 0; i <= most; i++)
        for (int j = 0; j <= (cells->num_features == 2 ? most : 0); j++) {
            const int degree = i + j;
            if (degree > parameters->degree ||
                (degree == 0 && !parameters->include_bias))
                continue;
            basis->exponent[basis->num_monomials][0] = i;
            basis->exponent[basis->num_monomials++][1] = j;
        }
}

static void evaluate(const struct basis *basis, const double *features,
                     double *monomials)
{
    double power[VIDUR_MAX_FEATURES][VIDUR_MAX_DEGREE + 1];
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        const double x = f < basis->num_features ? features[f] / basis->scale[f] : 0;
        power[f][0] = 1;
        for (int k = 1; k <= VIDUR_MAX_DEGREE; k++)
            power[f][k] = power[f][k - 1] * x;
    }
    for (int i = 0; i < basis->num_monomials; i++)
        monomials[i] =
            power[0][basis->exponent[i][0]] * power[1][basis->exponent[i][1]];
}

static void row_features(const struct vidur_samples *samples, int row, double *features)
{
    for (int f = 0; f < samples->num_features; f++)
        features[f] = samples->features[f][row];
}

/* The system to solve; at least as many rows as columns, the rest zero. */
struct system {
    gsl_matrix *x;
    gsl_vector *y, *c;
    gsl_matrix *covariance;
    gsl_multifit_linear_workspace *work;
    int rows, columns;
    double x_mean[MAX_MONOMIALS], y_mean; /* 0 without intercept */
};

static void system_fini(struct system *system)
{
    if (system->x)
        gsl_matrix_free(system->x);
    if (system->y)
        gsl_vector_free(system->y);
    if (system->c)
        gsl_vector_free(system->c);
    if (system->covariance)
        gsl_matrix_free(system->covariance);
    if (system->work)
        gsl_multifit_linear_free(system->work);
}

static int system_init(struct system *system, int rows, int columns)
{
    const size_t n = (size_t)(rows > columns ? rows : columns), p = (size_t)columns;
    memset(system, 0, sizeof *system);
    system->rows = rows;
    system->columns = columns;
    system->x = gsl_matrix_calloc(n, p);
    system->y = gsl_vector_calloc(n);
    system->c = gsl_vector_calloc(p);
    system->covariance = gsl_matrix_calloc(p, p);
    system->work = gsl_multifit_linear_alloc(n, p);
    return system->x && system->y && system->c && system->covariance && system->work
               ? 0
               : -1;
}

/* Takes the columns' means away, as a fit with an intercept does. */
static void centre(struct system *system)
{
    for (int j = 0; j < system->columns; j++) {
        double total = 0;
        for (int i = 0; i < system->rows; i++)
            total += gsl_matrix_get(system->x, i, j);
        system->x_mean[j] = total / system->rows;
        for (int i = 0; i < system->rows; i++)
            *gsl_matrix_ptr(system->x, i, j) -= system->x_mean[j];
    }
    double total = 0;
    for (int i = 0; i < system->rows; i++)
        total += gsl_vector_get(system->y, i);
    system->y_mean = total / system->rows;
    for (int i = 0; i < system->rows; i++)
        *gsl_vector_ptr(system->y, i) -= system->y_mean;
}

static void load(struct system *system, const struct basis *basis,
                 const struct vidur_samples *samples, const int *hold)
{
    double features[VIDUR_MAX_FEATURES], monomials[MAX_MONOMIALS];
    for (int i = 0; i < system->rows; i++) {
        const int row = i < hold[0] ? i : i + hold[1] - hold[0];
        row_features(samples, row, features);
        evaluate(basis, features, monomials);
        for (int j = 0; j < basis->num_monomials; j++)
            gsl_matrix_set(system->x, i, j, monomials[j]);
        gsl_vector_set(system->y, i, samples->target_ms[row]);
    }
}

/* Fits to all rows but those in [hold[0], hold[1]). */
static int solve(struct polynomial *polynomial, const struct vidur_training *training,
                 const struct vidur_hyperparameters *parameters, const int *hold)
{
    struct system system;
    struct basis *basis = &polynomial->basis;
    double chisq = 0;
    size_t rank = 0;
    make_basis(basis, training->cells, parameters);
    const int rows = training->cells->num_rows - (hold[1] - hold[0]);
    int rc = system_init(&system, rows, basis->num_monomials);
    if (rc == 0) {
        load(&system, basis, training->samples, hold);
        if (parameters->fit_intercept)
            centre(&system);
        rc = gsl_multifit_linear_tsvd(system.x, system.y, rank_tolerance, system.c,
                                      system.covariance, &chisq, &rank, system.work);
    }
    if (rc == 0) {
        polynomial->intercept = system.y_mean;
        for (int j = 0; j < basis->num_monomials; j++) {
            polynomial->coefficient[j] = gsl_vector_get(system.c, j);
            polynomial->intercept -= polynomial->coefficient[j] * system.x_mean[j];
        }
    }
    system_fini(&system);
    return rc;
}

static double polynomial_predict(const struct vidur_regression *regression,
                                 const double *features)
{
    const struct polynomial *polynomial = (const struct polynomial *)regression;
    double monomials[MAX_MONOMIALS], total = polynomial->intercept;
    evaluate(&polynomial->basis, features, monomials);
    for (int i = 0; i < polynomial->basis.num_monomials; i++)
        total += polynomial->coefficient[i] * monomials[i];
    return total;
}

static int polynomial_num_candidates(const struct vidur_regressor_grid *grid)
{
    return grid->max_degree * 8;
}

static void polynomial_candidate(const struct vidur_regressor_grid *grid, int index,
                                 struct vidur_hyperparameters *parameters)
{
    memset(parameters, 0, sizeof *parameters);
    parameters->interaction_only = index % 2 == 0;
    parameters->include_bias = index / 2 % 2 == 0;
    parameters->degree = index / 4 % grid->max_degree + 1;
    parameters->fit_intercept = index / 4 / grid->max_degree == 0;
}

static int score(const struct vidur_training *training, int candidate, int fold,
                 double *error)
{
    const int hold[] = {training->fold_begin[fold], training->fold_begin[fold + 1]};
    struct vidur_hyperparameters parameters;
    struct polynomial polynomial;
    polynomial_candidate(training->grid, candidate, &parameters);
    memset(&polynomial, 0, sizeof polynomial);
    if (solve(&polynomial, training, &parameters, hold))
        return -1;
    double total = 0;
    for (int row = hold[0]; row < hold[1]; row++) {
        double features[VIDUR_MAX_FEATURES];
        row_features(training->samples, row, features);
        total += vidur_percent_error(training->samples->target_ms[row],
                                     polynomial_predict(&polynomial.base, features));
    }
    *error = total / (hold[1] - hold[0]);
    return 0;
}

/* GSL's default handler aborts the program. Switching it off is global, but every call
 * into GSL here is checked, and so must be any other in the process. */
static void return_gsl_errors(void)
{
    gsl_set_error_handler_off();
}

static int fail(struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_ENOMEM,
                      "polynomial: the least squares fit failed (out of memory, or no "
                      "convergence)");
}

static int polynomial_cross_validate(const struct vidur_training *training,
                                     double *scores, struct vidur_error *err)
{
    const int count = polynomial_num_candidates(training->grid) * training->num_folds;
    int failed = 0;
    return_gsl_errors();
#pragma omp parallel for schedule(dynamic) num_threads(training->threads)
    for (int i = 0; i < count; i++)
        if (score(training, i / training->num_folds, i % training->num_folds,
                  &scores[i])) {
#pragma omp atomic write
            failed = 1;
        }
    return failed ? fail(err) : 0;
}

static int polynomial_fit(struct vidur_regression **out,
                          const struct vidur_training *training,
                          const struct vidur_hyperparameters *parameters,
                          struct vidur_error *err)
{
    static const int hold_none[] = {0, 0};
    struct polynomial *polynomial = calloc(1, sizeof *polynomial);
    return_gsl_errors();
    if (!polynomial || solve(polynomial, training, parameters, hold_none)) {
        free(polynomial);
        return fail(err);
    }
    polynomial->base.ops = &vidur_polynomial;
    polynomial->base.num_features = polynomial->basis.num_features;
    *out = &polynomial->base;
    return 0;
}

static int polynomial_fill(const struct vidur_regression *regression,
                           const struct vidur_axes *axes, int threads, double *ms,
                           struct vidur_error *err)
{
    const int64_t columns = axes->num_axes == 2 ? axes->count[1] : 1;
    (void)err;
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < axes->count[0]; i++)
        for (int64_t j = 0; j < columns; j++) {
            const double features[] = {axes->values[0][i],
                                       axes->num_axes == 2 ? axes->values[1][j] : 0};
            ms[i * columns + j] = polynomial_predict(regression, features);
        }
    return 0;
}

static void polynomial_free(struct vidur_regression *regression)
{
    free(regression);
}

const struct vidur_regressor_ops vidur_polynomial = {
    .name = "polynomial",
    .num_candidates = polynomial_num_candidates,
    .candidate = polynomial_candidate,
    .cross_validate = polynomial_cross_validate,
    .fit = polynomial_fit,
    .predict = polynomial_predict,
    .fill = polynomial_fill,
    .free = polynomial_free,
};
