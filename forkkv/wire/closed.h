/* closed.h -- why a connection was closed, as people are told; else it is the text of a system
 * error. */
#ifndef FORKKV_CLOSED_H
#define FORKKV_CLOSED_H

#define CLOSED_BY_CLIENT "client"
#define CLOSED_BY_SERVER "server"
#define CLOSED_QUIT "quit"
#define CLOSED_PROTOCOL "protocol"
#define CLOSED_CROSS_PROTOCOL "cross protocol"
#define CLOSED_QUERY_LIMIT "query limit"
#define CLOSED_REPLY_LIMIT "reply limit"
#define CLOSED_NO_MEMORY "memory"

#endif
