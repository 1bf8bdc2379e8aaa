/* What the kernel tells about itself. */
#include <sys/param.h>
#include <sys/sysctl.h>

#include "vers.h"

static const u_long osreldate = __Nidavel_version;
static const u_long abi = NIDAVEL_ABI;
static const u_long pagesize = PAGE_SIZE;

SYSCTL_STRING(ostype, "kern.ostype", NIDAVEL_NAME);
SYSCTL_STRING(osrelease, "kern.osrelease", NIDAVEL_RELEASE);
SYSCTL_STRING(ident, "kern.ident", KERNEL_IDENT);
SYSCTL_ULONG(osreldate, "kern.osreldate", &osreldate);
SYSCTL_ULONG(abi, "kern.abi", &abi);
SYSCTL_STRING(machine, "hw.machine", KERNEL_MACHINE);
SYSCTL_ULONG(pagesize, "hw.pagesize", &pagesize);
