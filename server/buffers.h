/* Memory for messages and answers that is used again: large pages fresh from the system cost more than copying or
 * drawing into them. What is kept is bounded, and of the process. */
#ifndef SERVER_BUFFERS_H
#define SERVER_BUFFERS_H

#include <stddef.h>

/* At least `size` bytes, aligned for anything; NULL when out of memory. Any thread. */
void *buffer_take(size_t size);
void buffer_return(void *buffer);       /* accepts NULL */
size_t buffer_size(const void *buffer); /* as there is room for; NULL: 0 */

#endif
