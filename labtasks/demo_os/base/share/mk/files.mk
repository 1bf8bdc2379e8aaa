# Files that are installed as they are: FILES, in FILESDIR.

all:
	@for f in *; do case " ${FILES} " in *" $$f "*) ;; *) rm -f $$f ;; esac; done
	@for f in ${FILES}; do \
	    cmp -s ${SRCTOP}/${DIR}/$$f $$f || cp ${SRCTOP}/${DIR}/$$f $$f || exit 1; \
	done

install:
	@mkdir -p ${DESTDIR}${FILESDIR}
	install -m 644 ${FILES} ${DESTDIR}${FILESDIR}/
