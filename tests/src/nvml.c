/* A stand-in for libnvidia-ml.so: one GPU, whose readings a test writes.
 *
 * At every call it reads the file that lies beside the library, with `.script` after its name: a `key value` a
 * line. A value is a number, or `error N` with the number of an nvmlReturn_t. What is not written is not
 * supported (3). Keys: driver (`error N` fails nvmlInit), device (`error N` fails finding it, as a GPU that
 * fell off its bus does), bus_id, pci_id, temperature, memory_temperature, fans, fan, power_mean_mw, power_mw,
 * energy_mj, process (PID and bytes; again for more), use (PID and percent; again for more); crash_at and hang_at:
 * the number of the reading of a temperature, since it was loaded, at which it crashes or never comes back, where 0
 * is nvmlInit.
 *
 * Types and numbers are those of nvml.h; only what the sensors call is here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { FIELD_MEMORY_TEMPERATURE = 82, FIELD_POWER_MEAN = 185 };

typedef void *Device;
typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
} PciInfo;
typedef struct {
    unsigned pid;
    unsigned long long used_memory;
    unsigned gpu_instance, compute_instance;
} Process;
typedef struct {
    unsigned pid;
    unsigned long long time_us;
    unsigned sm, memory, encoder, decoder;
} Use;
typedef struct {
    unsigned field, scope;
    long long time_us, latency_us;
    unsigned type, result;
    union {
        double f64;
        unsigned u32;
        unsigned long long u64;
    } value;
} FieldValue;

/* Calls `each` with the value of every line that begins with the key. */
static int lines(const char *key, int (*each)(const char *value, void *into), void *into) {
    Dl_info self;
    char path[4096], line[256];
    if (!dladdr((void *)lines, &self)) return UNKNOWN;
    snprintf(path, sizeof path, "%s.script", self.dli_fname);
    FILE *file = fopen(path, "r");
    if (!file) return UNKNOWN;
    int result = NOT_SUPPORTED;
    size_t length = strlen(key);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, length) || line[length] != ' ') continue;
        const char *value = line + length + 1;
        result = strncmp(value, "error ", 6) ? each(value, into) : atoi(value + 6);
        if (result) break;
    }
    fclose(file);
    return result;
}

static int to_number(const char *value, void *into) {
    *(unsigned long long *)into = strtoull(value, NULL, 0);
    return SUCCESS;
}

static int to_text(const char *value, void *into) {
    snprintf(into, 32, "%s", value);
    return SUCCESS;
}

static int number(const char *key, unsigned long long *into) { return lines(key, to_number, into); }

static int small(const char *key, unsigned *into) {
    unsigned long long value = 0;
    int result = number(key, &value);
    *into = (unsigned)value;
    return result;
}

/* A key whose absence means that nothing is wrong. */
static int state(const char *key) {
    unsigned long long ignored;
    int result = number(key, &ignored);
    return result == NOT_SUPPORTED ? SUCCESS : result;
}

/* What a driver that dies does. */
static void die_at(unsigned long long reading) {
    unsigned long long at;
    if (number("crash_at", &at) == SUCCESS && at == reading) *(volatile int *)0 = 0;
    while (number("hang_at", &at) == SUCCESS && at == reading) sleep(3600);
}

int nvmlInit_v2(void) {
    die_at(0);
    return state("driver");
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int result) { return result == 15 ? "GPU is lost" : "an error"; }
int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "580.65.06");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 1;
    return state("driver");
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    *device = (Device)&lines;
    return index ? INVALID_ARGUMENT : state("device");
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *wanted, Device *device) {
    char bus_id[32] = "";
    *device = (Device)&lines;
    int result = lines("bus_id", to_text, bus_id);
    if (result) return result;
    /* The domain may be written with four digits or eight. */
    size_t length = strlen(bus_id), tail = strlen(wanted);
    if (tail > length || strcasecmp(bus_id + length - tail, wanted)) return NOT_FOUND;
    return state("device");
}

int nvmlDeviceGetPciInfo_v3(Device device, PciInfo *info) {
    memset(info, 0, sizeof *info);
    lines("bus_id", to_text, info->bus_id);
    return small("pci_id", &info->pci_device_id);
}

int nvmlDeviceGetTemperature(Device device, int sensor, unsigned *celsius) {
    static unsigned long long readings;
    die_at(++readings);
    return small("temperature", celsius);
}
int nvmlDeviceGetNumFans(Device device, unsigned *count) { return small("fans", count); }
int nvmlDeviceGetFanSpeed_v2(Device device, unsigned fan, unsigned *percent) { return small("fan", percent); }
int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) { return small("power_mw", milliwatts); }
int nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *millijoules) {
    return number("energy_mj", millijoules);
}

int nvmlDeviceGetFieldValues(Device device, int count, FieldValue *values) {
    for (int index = 0; index < count; index++) {
        FieldValue *value = &values[index];
        value->type = 1;
        switch (value->field) {
        case FIELD_MEMORY_TEMPERATURE: value->result = small("memory_temperature", &value->value.u32); break;
        case FIELD_POWER_MEAN: value->result = small("power_mean_mw", &value->value.u32); break;
        default: value->result = INVALID_ARGUMENT;
        }
    }
    return SUCCESS;
}

typedef struct {
    void *into;
    unsigned room, count;
} List;

static int add_process(const char *value, void *into) {
    List *list = into;
    if (list->count < list->room) {
        Process *process = (Process *)list->into + list->count;
        memset(process, 0, sizeof *process);
        char *rest;
        process->pid = strtoul(value, &rest, 0);
        process->used_memory = strtoull(rest, NULL, 0);
        process->gpu_instance = process->compute_instance = ~0u;
    }
    list->count++;
    return SUCCESS;
}

static int add_use(const char *value, void *into) {
    List *list = into;
    if (list->count < list->room) {
        Use *use = (Use *)list->into + list->count;
        memset(use, 0, sizeof *use);
        char *rest;
        use->pid = strtoul(value, &rest, 0);
        use->sm = strtoul(rest, NULL, 0);
    }
    list->count++;
    return SUCCESS;
}

static int list(const char *key, int (*add)(const char *, void *), void *into, unsigned *count, int none) {
    List list = {into, into ? *count : 0, 0};
    int result = lines(key, add, &list);
    if (result == NOT_SUPPORTED) result = none;
    if (result) return result;
    int is_short = list.count > list.room;
    *count = list.count;
    return is_short ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *processes) {
    return list("process", add_process, processes, count, SUCCESS);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Device device, unsigned *count, Process *processes) {
    *count = 0;
    return SUCCESS;
}

int nvmlDeviceGetProcessUtilization(Device device, Use *uses, unsigned *count, unsigned long long since_us) {
    return list("use", add_use, uses, count, NOT_FOUND);
}
