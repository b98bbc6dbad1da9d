#include "test.h"

#include "base/hash.h"
#include "flip.h"

#include <vidur/model.h>
#include <vidur/sku.h>

#include <stdalign.h>
#include <string.h>

/* No member of a spec is forgotten: a change of any byte is seen, but for prices,
 * the TDP and the gaps between members. Who adds a member adds it to the digest and to
 * the counts here. */

static void digest_model(struct vidur_sha256 *sha, const void *model)
{
    vidur_model_digest(sha, model);
}

static void digest_device(struct vidur_sha256 *sha, const void *device)
{
    vidur_device_digest(sha, device);
}

static void digest_node(struct vidur_sha256 *sha, const void *node)
{
    vidur_node_digest(sha, node);
}

/* Bytes of a struct that no member covers, given those that members do. */
static size_t gaps(size_t whole, size_t members)
{
    return whole - members;
}

static void test_model(void)
{
    struct vidur_model_spec model;
    const size_t kept[] = {END_OF(struct vidur_model_spec, name)};
    memset(&model, 0, sizeof model);
    FILL(model.name);
    const struct flip flip = {&model, sizeof model, digest_model, kept, 1};
    CU_ASSERT_EQUAL(flip_count_ignored(&flip),
                    gaps(sizeof model, sizeof model.name + 7 * sizeof(int) +
                                           sizeof model.kinds + 4 * sizeof(bool) +
                                           sizeof model.precision));
}

static void test_device(void)
{
    struct vidur_device_sku device;
    const size_t kept[] = {END_OF(struct vidur_device_sku, name),
                           END_OF(struct vidur_device_sku, engine.fitted_on),
                           END_OF(struct vidur_device_sku, kernel_system)};
    memset(&device, 0, sizeof device);
    FILL(device.name);
    FILL(device.engine.fitted_on);
    FILL(device.kernel_system);
    const struct flip flip = {&device, sizeof device, digest_device, kept, 3};
    /* 3 datasheet figures, 7 efficiencies and launches, 7 of the V1 engine. */
    CU_ASSERT_EQUAL(
        flip_count_ignored(&flip),
        gaps(sizeof device, sizeof device.name + sizeof device.kernel_system +
                                sizeof device.engine + 17 * sizeof(double)));
    CU_ASSERT_EQUAL(
        gaps(sizeof device, sizeof device.name + sizeof device.kernel_system +
                                sizeof device.engine + 17 * sizeof(double)),
        sizeof device.usd_per_gpu_hour + sizeof device.price_source +
            sizeof device.price_date + sizeof device.tdp_w + sizeof device.host_link);
}

static void test_node(void)
{
    struct vidur_node_sku node;
    const size_t kept[] = {END_OF(struct vidur_node_sku, name),
                           END_OF(struct vidur_node_sku, device)};
    memset(&node, 0, sizeof node);
    FILL(node.name);
    FILL(node.device);
    const struct flip flip = {&node, sizeof node, digest_node, kept, 2};
    const size_t members = sizeof node.name + sizeof node.device + sizeof(int) +
                           sizeof(bool) + 8 * sizeof(double);
    CU_ASSERT_EQUAL(flip_count_ignored(&flip), gaps(sizeof node, members));
    CU_ASSERT_TRUE(gaps(sizeof node, members) < alignof(double));
}

VIDUR_TEST_MAIN("digests of specs", {"model", test_model}, {"device", test_device},
                {"node", test_node})
