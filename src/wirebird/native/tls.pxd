from .sockets cimport Owner, Socket


cdef Socket adopt_tls(object transport, Owner owner, object loop)
