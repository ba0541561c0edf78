//! Passes warnings of the API server on, as messages to the sender of the requests.

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    cluster::Cluster,
    error::Error,
    model::message::{Message, Say},
};

/// The same cluster, for a sender that gets the warnings of its answers.
pub(crate) fn telling(cluster: Cluster, whom: impl Say + 'static) -> Cluster {
    cluster.telling(move |warning| whom.say(Message::of_the_api_server(&warning)))
}

/// A queue of events takes messages as events. If nobody reads it any more, they are dropped.
impl<E: From<Message> + Send> Say for UnboundedSender<Result<E, Error>> {
    fn say(&self, message: Message) {
        let _ = self.send(Ok(message.into()));
    }
}
