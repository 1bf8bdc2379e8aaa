"""What a build read, job by job.

trace trace_pack            the trace itself, and its bytes
trace_jobs trace_trees      processes become jobs, and raw paths those of a build's trees
trace_calls                 file calls, one by one, become a trace
trace_strace trace_bpf      who records them: strace's log, a BPF program's records
bpf recorder                that program, compiled and loaded; a command that it records
trace_filemon trace_depend  without either: .meta records, dependency files
tracing                     which of them a build gets, and the trace it leaves
"""
