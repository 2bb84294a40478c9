//! `rediss://` with a certificate of one's own.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use node::tree::Tree;

use crate::common::*;

fn openssl(dir: &Path, arguments: &str) {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()
        .expect("openssl is not installed: run `cargo xtask setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and, signed by it, a certificate for 127.0.0.1.
fn certificates(dir: &Path) {
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(dir, &format!("{new} -keyout ca.key -out ca.crt -subj /CN=test-authority"));
    openssl(
        dir,
        &format!(
            "{new} -keyout server.key -out server.crt -subj /CN=redis -CA ca.crt -CAkey ca.key \
             -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
        ),
    );
}

#[tokio::test]
async fn tls_trusts_the_given_authority() {
    let files = tempfile::tempdir().unwrap();
    let at = files.path().display();
    certificates(files.path());
    let server = Server::start(&format!(
        "tls-port PORT\ntls-cert-file {at}/server.crt\ntls-key-file {at}/server.key\n\
         tls-ca-cert-file {at}/ca.crt\ntls-auth-clients no"
    ))
    .await;
    let node = Arc::new(Recorder::default());
    let mut secure = config(&server);
    secure.redis.tls = true;
    let tree = Tree::start(secure.clone(), registration(), node.clone());
    seen(&tree, "that the authority is not known", |view| {
        view.redis.problem.as_deref().is_some_and(|problem| problem.contains("UnknownIssuer"))
    })
    .await;
    tree.stop().await;

    secure.redis.tls_ca = Some(files.path().join("ca.crt"));
    let tree = Tree::start(secure, registration(), node.clone());
    settled(&tree).await;
    assert!(tree.view().borrow().redis.server.starts_with("rediss://"));
    tree.refresh().await.unwrap();

    // Without TLS, a server that wants it does not understand us, and that is said.
    let tree = Tree::start(config(&server), registration(), node);
    seen(&tree, "a problem", |view| view.redis.problem.is_some()).await;
}
