//! Passes warnings of the API server on, as messages to the sender of the requests.

use crate::{
    cluster::Cluster,
    model::message::{Message, Say},
};

/// The same cluster, for a sender that gets the warnings of its answers.
pub(crate) fn telling(cluster: Cluster, whom: impl Say + 'static) -> Cluster {
    cluster.telling(move |warning| whom.say(Message::of_the_api_server(&warning)))
}
