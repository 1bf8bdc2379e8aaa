#ifndef _SYS_REBOOT_H_
#define _SYS_REBOOT_H_

#define	RB_AUTOBOOT	0	/* reset the machine */
#define	RB_POWEROFF	1	/* turn it off */
#define	RB_HALT		2	/* stop, leave the console readable */

#endif
