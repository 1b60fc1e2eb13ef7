/* A library that changes the floating-point mode of the thread that calls it, as one that was linked with -ffast-math
 * does when it is loaded. It can be preloaded, or be a layer of Vulkan.
 *
 * VK_ANNEAL_TEST_MODE is the register's content as a number: MXCSR on x86-64, FPCR on ARM64; without it nothing is
 * changed. VK_ANNEAL_TEST_CALL is when: `load` (when it is loaded), `vkCreateInstance`, `vkCreateDevice`,
 * `vkQueueSubmit`. (Workers inherit variables that begin with VK_.)
 *
 * Types and numbers are those of vulkan_core.h and vk_layer.h; of a chain of layers only what these calls need. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LOADER_INSTANCE_CREATE_INFO = 47, LOADER_DEVICE_CREATE_INFO = 48, LINK_INFO = 0, FAILED = -3 };

typedef void (*Function)(void);
typedef Function (*ProcAddr)(void *of, const char *name);
typedef int (*CreateInstance)(const void *info, const void *allocator, void **instance);
typedef int (*CreateDevice)(void *physical, const void *info, const void *allocator, void **device);
typedef int (*QueueSubmit)(void *queue, uint32_t count, const void *submits, uint64_t fence);

typedef struct Link {
    struct Link *next;
    ProcAddr instance_proc_addr, other_proc_addr;
} Link;
typedef struct Info {
    int type;
    const struct Info *next;
    int function;
    Link *link;
} Info;
typedef struct {
    int type;
    void *next;
    uint32_t version;
    ProcAddr instance_proc_addr, device_proc_addr, physical_device_proc_addr;
} Negotiation;

static ProcAddr of_instance, of_device;
static void *the_instance;

static void change(const char *call) {
    const char *mode = getenv("VK_ANNEAL_TEST_MODE"), *when = getenv("VK_ANNEAL_TEST_CALL");
    if (!mode || !when || strcmp(when, call)) return;
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr((unsigned)strtoul(mode, NULL, 0));
#elif defined(__aarch64__)
    uint64_t bits = strtoul(mode, NULL, 0);
    __asm__ volatile("msr fpcr, %0" : : "r"(bits));
#else
#error "no register is known"
#endif
}

__attribute__((constructor)) static void loaded(void) { change("load"); }

/* The link to whoever comes after this layer; the next one finds its own behind it. */
static Link *advance(const void *info, int type) {
    for (const Info *at = info; at; at = at->next) {
        if (at->type == type && at->function == LINK_INFO) {
            Link *link = at->link;
            ((Info *)at)->link = link->next;
            return link;
        }
    }
    return NULL;
}

static int create_instance(const void *info, const void *allocator, void **instance) {
    Link *link = advance(info, LOADER_INSTANCE_CREATE_INFO);
    if (!link) return FAILED;
    of_instance = link->instance_proc_addr;
    CreateInstance next = (CreateInstance)of_instance(NULL, "vkCreateInstance");
    int result = next(info, allocator, instance);
    the_instance = result ? NULL : *instance;
    change("vkCreateInstance");
    return result;
}

static int create_device(void *physical, const void *info, const void *allocator, void **device) {
    Link *link = advance(info, LOADER_DEVICE_CREATE_INFO);
    if (!link) return FAILED;
    of_device = link->other_proc_addr;
    CreateDevice next = (CreateDevice)link->instance_proc_addr(the_instance, "vkCreateDevice");
    int result = next(physical, info, allocator, device);
    change("vkCreateDevice");
    return result;
}

static QueueSubmit next_submit;
static int queue_submit(void *queue, uint32_t count, const void *submits, uint64_t fence) {
    int result = next_submit(queue, count, submits, fence);
    change("vkQueueSubmit");
    return result;
}

static Function device_proc_addr(void *device, const char *name) {
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)device_proc_addr;
    if (!strcmp(name, "vkQueueSubmit")) {
        next_submit = (QueueSubmit)of_device(device, name);
        return (Function)queue_submit;
    }
    return of_device ? of_device(device, name) : NULL;
}

static Function instance_proc_addr(void *instance, const char *name) {
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (Function)instance_proc_addr;
    if (!strcmp(name, "vkGetDeviceProcAddr")) return (Function)device_proc_addr;
    if (!strcmp(name, "vkCreateInstance")) return (Function)create_instance;
    if (!strcmp(name, "vkCreateDevice")) return (Function)create_device;
    return of_instance ? of_instance(instance, name) : NULL;
}

int vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
    if (negotiation->version > 2) negotiation->version = 2;
    negotiation->instance_proc_addr = instance_proc_addr;
    negotiation->device_proc_addr = device_proc_addr;
    negotiation->physical_device_proc_addr = NULL;
    return 0;
}
