//! Passes warnings of the API server on, as messages to the sender of the requests.

use crate::{
    cluster::Cluster,
    model::message::{Message, MessageSink},
};

/// The same cluster, for a sender that gets the warnings of its answers.
pub(crate) fn with_warnings_to(cluster: Cluster, whom: impl MessageSink + 'static) -> Cluster {
    cluster.with_warnings_to(move |warning| whom.emit(Message::of_the_api_server(&warning)))
}
