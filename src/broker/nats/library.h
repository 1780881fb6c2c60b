/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_NATS_LIBRARY_H
#define BROKER_NATS_LIBRARY_H

/*
 * libnats, loaded only when NATS is chosen: a process without it pays nothing. One list names the
 * functions used; the table of pointers is built from it, with the types in the library's own
 * header. Don't name functions newer than libnats 3.4.
 */

#include <nats/nats.h>

#include "base/error.h"

#define NATS_FUNCTIONS(X)                                                                          \
    X(nats_GetLastError)                                                                           \
    X(jsConsumerConfig_Init)                                                                       \
    X(jsConsumerInfo_Destroy)                                                                      \
    X(jsCtx_Destroy)                                                                               \
    X(jsOptions_Init)                                                                              \
    X(jsPubOptions_Init)                                                                           \
    X(jsStreamConfig_Init)                                                                         \
    X(jsStreamInfo_Destroy)                                                                        \
    X(js_AddConsumer)                                                                              \
    X(js_AddStream)                                                                                \
    X(js_DeleteConsumer)                                                                           \
    X(js_GetConsumerInfo)                                                                          \
    X(js_GetStreamInfo)                                                                            \
    X(js_PublishAsyncComplete)                                                                     \
    X(js_PublishAsyncGetPendingList)                                                               \
    X(js_PublishMsgAsync)                                                                          \
    X(natsConnection_Connect)                                                                      \
    X(natsConnection_Destroy)                                                                      \
    X(natsConnection_FlushTimeout)                                                                 \
    X(natsConnection_GetLastError)                                                                 \
    X(natsConnection_JetStream)                                                                    \
    X(natsConnection_PublishMsg)                                                                   \
    X(natsConnection_PublishRequestString)                                                         \
    X(natsConnection_PublishString)                                                                \
    X(natsConnection_RequestString)                                                                \
    X(natsConnection_Subscribe)                                                                    \
    X(natsInbox_Create)                                                                            \
    X(natsInbox_Destroy)                                                                           \
    X(natsMsgHeader_Get)                                                                           \
    X(natsMsgHeader_Set)                                                                           \
    X(natsMsgList_Destroy)                                                                         \
    X(natsMsg_Create)                                                                              \
    X(natsMsg_Destroy)                                                                             \
    X(natsMsg_GetData)                                                                             \
    X(natsMsg_GetDataLength)                                                                       \
    X(natsMsg_GetReply)                                                                            \
    X(natsMsg_GetSubject)                                                                          \
    X(natsOptions_Create)                                                                          \
    X(natsOptions_Destroy)                                                                         \
    X(natsOptions_LoadCATrustedCertificates)                                                       \
    X(natsOptions_LoadCertificatesChain)                                                           \
    X(natsOptions_SetClosedCB)                                                                     \
    X(natsOptions_SetDisconnectedCB)                                                               \
    X(natsOptions_SetExpectedHostname)                                                             \
    X(natsOptions_SetIgnoreDiscoveredServers)                                                      \
    X(natsOptions_SetMaxPendingMsgs)                                                               \
    X(natsOptions_SetMaxPingsOut)                                                                  \
    X(natsOptions_SetMaxReconnect)                                                                 \
    X(natsOptions_SetName)                                                                         \
    X(natsOptions_SetPingInterval)                                                                 \
    X(natsOptions_SetReconnectBufSize)                                                             \
    X(natsOptions_SetReconnectJitter)                                                              \
    X(natsOptions_SetReconnectWait)                                                                \
    X(natsOptions_SetReconnectedCB)                                                                \
    X(natsOptions_SetSecure)                                                                       \
    X(natsOptions_SetTimeout)                                                                      \
    X(natsOptions_SetToken)                                                                        \
    X(natsOptions_SetURL)                                                                          \
    X(natsOptions_SetUserInfo)                                                                     \
    X(natsOptions_SetWriteDeadline)                                                                \
    X(natsOptions_UseGlobalMessageDelivery)                                                        \
    X(natsStatus_GetText)                                                                          \
    X(natsSubscription_Destroy)                                                                    \
    X(natsSubscription_SetOnCompleteCB)                                                            \
    X(natsSubscription_SetPendingLimits)                                                           \
    X(natsSubscription_Unsubscribe)

struct nats_library {
#define NATS_POINTER(name) __typeof__(name) *name;
    NATS_FUNCTIONS(NATS_POINTER)
#undef NATS_POINTER
};
extern struct nats_library nats;

/* FH_UNSUPPORTED: it is not installed, or too old. */
enum fh_code nats_library_load(struct fh_error *error);

#endif
