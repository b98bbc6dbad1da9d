#ifndef VIDUR_SIM_FIT_H
#define VIDUR_SIM_FIT_H

#include <vidur/error.h>

#include <stdbool.h>

/*
 * Nonlinear least squares: the parameters that make the sum of squared residuals least,
 * by Levenberg and Marquardt's method with finite differences. For functions that are
 * smooth up to a little noise, such as simulations: what is returned is the best point
 * that was looked at. Not thread-safe while it runs (GSL's error handler is switched
 * off and put back).
 */

enum { VIDUR_FIT_MAX_PARAMETERS = 8 };

struct vidur_fit_problem {
    int num_parameters; /* 1 .. VIDUR_FIT_MAX_PARAMETERS */
    int num_residuals;  /* at least as many */
    /* Fills `residuals` at a point; -1 and *err end the fit. */
    int (*residuals)(void *context, const double *parameters, double *residuals,
                     struct vidur_error *err);
    void *context;
    double difference; /* step of the differences, in units of each parameter's value */
    double tolerance;  /* of the parameters, likewise: steps below it end the fit */
    int max_iterations;
};

struct vidur_fit_result {
    double rms_before, rms; /* root of the mean squared residual: at the start, now */
    int num_evaluations;
    bool converged;
};

/* `parameters`: where to start; the best point afterwards. */
int vidur_fit(const struct vidur_fit_problem *problem, double *parameters,
              struct vidur_fit_result *result, struct vidur_error *err);

#endif
