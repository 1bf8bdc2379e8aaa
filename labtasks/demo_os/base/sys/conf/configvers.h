/*
 * The version of the language of sys/conf.  It is compiled into config(8) and
 * named in sys/conf/configvers: a tool of another age must not guess.
 */
#define	CONFIGVERS	1
