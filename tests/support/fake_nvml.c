/* A driver's library for tests: answers from a text file that a test may rewrite while it is used.
 *
 * A line of the file is "<gpu>.<name> <value>", "<name> <value>" for the driver itself; the value
 * "!4" makes the call fail with code 4. STATE is the path, given when this is compiled. A GPU's
 * handle is its number plus one. The process "parent" is that which started the asking one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } process_t;

static int look(void *handle, const char *name, char *value)
{
    char wanted[128], line[1024];
    FILE *file = fopen(STATE, "r");
    int code = NOT_SUPPORTED;
    if (handle) snprintf(wanted, sizeof wanted, "%d.%s ", (int)((size_t)handle - 1), name);
    else snprintf(wanted, sizeof wanted, "%s ", name);
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, wanted, strlen(wanted))) {
            strcpy(value, line + strlen(wanted));
            value[strcspn(value, "\n")] = 0;
            code = value[0] == '!' ? atoi(value + 1) : 0;
        }
    if (file) fclose(file);
    return code;
}

static int text(void *handle, const char *name, char *out, unsigned length)
{
    char value[1024];
    int code = look(handle, name, value);
    if (!code) snprintf(out, length, "%s", value);
    return code;
}

static int number(void *handle, const char *name, unsigned *out)
{
    char value[1024];
    int code = look(handle, name, value);
    if (!code) *out = (unsigned)strtoul(value, 0, 0);
    return code;
}

int nvmlInit_v2(void) { char v[1024]; int c = look(0, "init", v); return c == NOT_SUPPORTED ? 0 : c; }
int nvmlSystemGetDriverVersion(char *out, unsigned n) { return text(0, "driver", out, n); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return number(0, "cuda", (unsigned *)out); }
int nvmlDeviceGetCount_v2(unsigned *out) { return number(0, "count", out); }
int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { *h = (void *)(size_t)(i + 1); return 0; }

int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle)
{
    unsigned count = 0, i;
    char value[1024];
    number(0, "count", &count);
    for (i = 0; i < count; i++)
        if (!look((void *)(size_t)(i + 1), "uuid", value) && !strcmp(value, uuid)) {
            *handle = (void *)(size_t)(i + 1);
            return 0;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(void *h, char *out, unsigned n) { return text(h, "uuid", out, n); }
int nvmlDeviceGetName(void *h, char *out, unsigned n) { return text(h, "name", out, n); }
int nvmlDeviceGetVbiosVersion(void *h, char *out, unsigned n) { return text(h, "vbios", out, n); }

int nvmlDeviceGetCudaComputeCapability(void *h, int *major, int *minor)
{
    unsigned sm;
    int code = number(h, "sm", &sm);
    if (!code) { *major = sm / 10; *minor = sm % 10; }
    return code;
}

int nvmlDeviceGetMemoryInfo(void *h, memory_t *out)
{
    unsigned total, used = 0;
    int code = number(h, "memory_mib", &total);
    if (code) return code;
    number(h, "used_mib", &used);
    out->total = (unsigned long long)total << 20;
    out->used = (unsigned long long)used << 20;
    out->free = out->total - out->used;
    return 0;
}

static int pair(void *h, const char *name, unsigned *current, unsigned *pending)
{
    int code = number(h, name, current);
    *pending = *current;
    return code;
}

int nvmlDeviceGetEccMode(void *h, unsigned *c, unsigned *p) { return pair(h, "ecc", c, p); }
int nvmlDeviceGetMigMode(void *h, unsigned *c, unsigned *p) { return pair(h, "mig", c, p); }
int nvmlDeviceGetPersistenceMode(void *h, unsigned *out) { return number(h, "persistence", out); }
int nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *out) { return number(h, "limit_mw", out); }
int nvmlDeviceGetPowerManagementDefaultLimit(void *h, unsigned *o) { return number(h, "limit_mw", o); }
int nvmlDeviceGetPowerUsage(void *h, unsigned *out) { return number(h, "power_mw", out); }
int nvmlDeviceGetCurrPcieLinkGeneration(void *h, unsigned *out) { return number(h, "gen", out); }
int nvmlDeviceGetCurrPcieLinkWidth(void *h, unsigned *out) { return number(h, "width", out); }

int nvmlDeviceGetTemperature(void *h, unsigned sensor, unsigned *out)
{
    return sensor ? NOT_SUPPORTED : number(h, "temperature", out);
}

static int clock_(void *h, unsigned which, unsigned *out)
{
    return number(h, which == 1 ? "sm_mhz" : "memory_mhz", out);
}
int nvmlDeviceGetClockInfo(void *h, unsigned which, unsigned *out) { return clock_(h, which, out); }
int nvmlDeviceGetMaxClockInfo(void *h, unsigned which, unsigned *out) { return clock_(h, which, out); }

/* "base+rate": millijoules, and the watts with which the counter grows. */
int nvmlDeviceGetTotalEnergyConsumption(void *h, unsigned long long *out)
{
    char value[1024], *rest;
    struct timespec now;
    int code = look(h, "energy", value);
    if (code) return code;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *out = strtoull(value, &rest, 0);
    if (*rest == '+')
        *out += (unsigned long long)(atof(rest + 1) * (now.tv_sec * 1e3 + now.tv_nsec / 1e6));
    return 0;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *h, unsigned long long *out)
{
    char value[1024];
    int code = look(h, "events", value);
    if (!code) *out = strtoull(value, 0, 0);
    return code;
}

int nvmlDeviceGetUtilizationRates(void *h, utilization_t *out)
{
    out->memory = 0;
    return number(h, "busy", &out->gpu);
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *count, process_t *out)
{
    char value[1024], *next;
    unsigned room = *count;
    int code = look(h, "pids", value);
    *count = 0;
    if (code) return code;
    for (next = strtok(value, ","); next; next = strtok(0, ",")) {
        if (*count < room) {
            out[*count].pid = strcmp(next, "parent") ? (unsigned)strtoul(next, 0, 0) : getppid();
            out[*count].used = 100ull << 20;
        }
        ++*count;
    }
    return *count > room ? INSUFFICIENT_SIZE : 0;
}
