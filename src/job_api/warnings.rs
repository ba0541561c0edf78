//! What answers of the API server warn of, as sentences for whoever has the requests sent.

use tokio::sync::mpsc::UnboundedSender;

use crate::{
    cluster::Cluster,
    error::Error,
    model::message::{Message, Say},
};

/// The same cluster for somebody who is told what its answers warn of.
pub(crate) fn telling(cluster: Cluster, whom: impl Say + 'static) -> Cluster {
    cluster.telling(move |warning| whom.say(Message::of_the_api_server(&warning)))
}

/// A queue of events takes sentences as events. Once nobody reads it, nobody is told.
impl<E: From<Message> + Send> Say for UnboundedSender<Result<E, Error>> {
    fn say(&self, message: Message) {
        let _ = self.send(Ok(message.into()));
    }
}
