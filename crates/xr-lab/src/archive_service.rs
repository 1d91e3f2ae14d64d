//! One more service for the example product, of the kinds that are easily lost.

/// It has a volume without a name, one that it shares with the database, a file that the compose file itself holds, and a
/// network that each version defines otherwise.
const SERVICE: &str = r#"services:
  archive:
    image: ${IMAGE_PREFIX:-acme}/orbit-frontend:${IMAGE_TAG:?IMAGE_TAG is not set}
    restart: always
    volumes: [/data, "postgres_data:/backup"]
    configs: [{source: note, target: /etc/note}]
    networks: [default, store]
networks:
  store: {labels: {release: "${IMAGE_TAG}"}}
configs:
  note: {content: "archive of ${IMAGE_TAG}\n"}
"#;

/// The files with which a publisher adds a service `archive` to the product: paths from the stack's root, and texts; one is
/// the manifest, which goes on as the caller says. `/etc/note` in it says `archive of VERSION`,
/// and so does the label `release` of its network `store`.
pub fn archive_service(manifest: &str) -> [(&'static str, String); 2] {
    let files = "[compose]\nfiles = [\"docker/docker-compose.yml\", \"docker/archive.yml\"]\n";
    [("xr.toml", format!("{files}{manifest}")), ("docker/archive.yml", SERVICE.to_owned())]
}
