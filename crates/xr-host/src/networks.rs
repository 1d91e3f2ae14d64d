//! A project's networks and volumes.

use std::collections::{BTreeSet, HashMap};

use bollard::{
    models::{
        EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
    },
    query_parameters::{ListNetworksOptions, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder},
};
use serde_json::Value;
use xr_model::{Attachment, Fault, Result};

use crate::engine::{Engine, is_status};

impl Engine {
    /// The names of a compose project's volumes.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn volumes(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![format!("com.docker.compose.project={project}")])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_volumes(Some(options)).await.map_err(Fault::at("cannot list volumes"))?;
        let mut names: Vec<String> = found.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect();
        names.sort();
        Ok(names)
    }

    /// Whether there is a volume of this name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn has_volume(&self, name: &str) -> Result<bool> {
        match self.docker.inspect_volume(name).await {
            Ok(_) => Ok(true),
            Err(error) if is_status(&error, 404) => Ok(false),
            Err(error) => Err(Fault::new(format!("cannot inspect volume {name}")).because(error)),
        }
    }

    /// Whether a volume holds nothing, or is not there. One whose files cannot be looked at from here holds something.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn volume_is_empty(&self, name: &str) -> Result<bool> {
        match self.docker.inspect_volume(name).await {
            // The options of a driver may have it elsewhere.
            Ok(volume) if volume.driver == "local" && volume.options.is_empty() => {
                let files = std::fs::read_dir(volume.mountpoint);
                Ok(files.is_ok_and(|mut files| files.next().is_none()))
            }
            Ok(_) => Ok(false),
            Err(error) if is_status(&error, 404) => Ok(true),
            Err(error) => Err(Fault::new(format!("cannot inspect volume {name}")).because(error)),
        }
    }

    /// Removes a volume; gone already is fine.
    ///
    /// # Errors
    /// When it is in use.
    pub async fn remove_volume(&self, name: &str) -> Result<()> {
        match self.docker.remove_volume(name, None::<bollard::query_parameters::RemoveVolumeOptions>).await {
            Err(error) if !is_status(&error, 404) => {
                Err(Fault::new(format!("cannot remove volume {name}")).because(error))
            }
            _ => Ok(()),
        }
    }

    /// The names of a compose project's networks.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn networks(&self, project: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("label", vec![format!("com.docker.compose.project={project}")])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let found = self.docker.list_networks(Some(options)).await.map_err(Fault::at("cannot list networks"))?;
        Ok(found.into_iter().filter_map(|network| network.name).collect())
    }

    /// The ids of all networks of this engine.
    pub(crate) async fn network_ids(&self) -> Result<BTreeSet<String>> {
        let found = self.docker.list_networks(None::<ListNetworksOptions>).await;
        let found = found.map_err(Fault::at("cannot list networks"))?;
        Ok(found.into_iter().filter_map(|network| network.id).collect())
    }

    /// Removes a network; gone already is fine.
    ///
    /// # Errors
    /// When it is in use.
    pub async fn remove_network(&self, name: &str) -> Result<()> {
        match self.docker.remove_network(name).await {
            Err(error) if !is_status(&error, 404) => {
                Err(Fault::new(format!("cannot remove network {name}")).because(error))
            }
            _ => Ok(()),
        }
    }

    /// What a network was made of, as the engine's API is asked for one; `None` when there is none of this name.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn network_definition(&self, name: &str) -> Result<Option<Value>> {
        let found = match self.docker.inspect_network(name, None).await {
            Ok(found) => found,
            Err(error) if is_status(&error, 404) => return Ok(None),
            Err(error) => return Err(Fault::new(format!("cannot inspect network {name}")).because(error)),
        };
        let request = NetworkCreateRequest {
            name: found.name.unwrap_or_else(|| name.to_owned()),
            driver: found.driver,
            internal: found.internal,
            attachable: found.attachable,
            ipam: found.ipam,
            enable_ipv6: found.enable_ipv6,
            options: found.options,
            labels: found.labels,
            ..Default::default()
        };
        serde_json::to_value(request).map(Some).map_err(Fault::at(format!("cannot write down network {name}")))
    }

    /// Makes a network as [`Engine::network_definition`] has described it.
    ///
    /// # Errors
    /// When the engine cannot, or there is one of this name.
    pub async fn make_network(&self, definition: &Value) -> Result<()> {
        let request: NetworkCreateRequest =
            serde_json::from_value(definition.clone()).map_err(Fault::at("cannot read a network's definition"))?;
        let name = request.name.clone();
        let made = self.docker.create_network(request).await;
        made.map(drop).map_err(Fault::at(format!("cannot create network {name}")))
    }

    /// Takes a container off a network; already off or gone is fine.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn detach(&self, place: &Attachment) -> Result<()> {
        let request = NetworkDisconnectRequest { container: place.container.clone(), force: Some(true) };
        match self.docker.disconnect_network(&place.network, request).await {
            Ok(()) => Ok(()),
            Err(error) if is_status(&error, 404) || error.to_string().contains("is not connected") => Ok(()),
            Err(error) => {
                Err(Fault::new(format!("cannot take a container off network {}", place.network)).because(error))
            }
        }
    }

    /// Puts a container back on a network with its names there; already there is fine.
    ///
    /// # Errors
    /// When the engine cannot.
    pub async fn attach(&self, place: &Attachment) -> Result<()> {
        if self
            .container(&place.container)
            .await?
            .is_some_and(|c| c.networks.iter().any(|at| at.network == place.network))
        {
            return Ok(());
        }
        let ipam = place.ipv4.clone().map(|ip| EndpointIpamConfig { ipv4_address: Some(ip), ..Default::default() });
        let asked: EndpointSettings = if place.settings.is_null() {
            EndpointSettings { ipam_config: ipam, ..Default::default() }
        } else {
            serde_json::from_value(place.settings.clone()).map_err(Fault::at("cannot read a container's place"))?
        };
        let settings = EndpointSettings { aliases: Some(place.aliases.clone()), ..asked };
        self.connect_with(&place.network, &place.container, settings).await
    }

    pub(crate) async fn connect_with(&self, network: &str, container: &str, settings: EndpointSettings) -> Result<()> {
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(settings) };
        self.docker
            .connect_network(network, request)
            .await
            .map_err(Fault::at(format!("cannot put a container on network {network}")))
    }
}

/// What was asked of a container's place on a network, of all that the engine says of it; its names there apart.
pub(crate) fn asked(at: &EndpointSettings) -> EndpointSettings {
    EndpointSettings {
        ipam_config: at.ipam_config.clone(),
        links: at.links.clone(),
        driver_opts: at.driver_opts.clone(),
        gw_priority: at.gw_priority,
        // One that was never started has none but what was asked for.
        mac_address: at.mac_address.clone().filter(|address| !address.is_empty()),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_asked_for_with_all_that_was_asked_before_and_nothing_of_the_engines_own() {
        let at = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some("10.9.0.9".to_owned()),
                ipv6_address: Some("fd00::9".to_owned()),
                link_local_ips: None,
            }),
            links: Some(vec!["db:database".to_owned()]),
            mac_address: Some(String::new()),
            ip_address: Some("10.9.0.9".to_owned()),
            gateway: Some("10.9.0.1".to_owned()),
            ..Default::default()
        };
        assert_eq!(asked(&at), EndpointSettings { mac_address: None, ip_address: None, gateway: None, ..at });
    }
}
