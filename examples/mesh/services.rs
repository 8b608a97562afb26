//! The services of the mesh: which backends they have, what the programs know of them, and what they counted.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use rawbpf::links::{Cgroup, MapRef, Sockmap};
use rawbpf::maps::HashMap;
use rawbpf::{Kernel, Link, Object, Options, Target};

static OBJECT: &[u8] = include_bytes!("../../bpf/mesh.o");

/// As in bpf/mesh.bpf.c. The weights of a service's backends add up to SLOTS at most.
const MAX_BACKENDS: usize = 16;
const SLOTS: usize = 64;

/// How long a backend may take to answer, and how often in a row it may be late: a busy one is not dead.
const PATIENCE: Duration = Duration::from_millis(200);
const LATE: u32 = 5;

rawbpf::plain! {
    /// `struct address`; IPv4 in the form of IPv6.
    #[derive(PartialEq, Eq)]
    struct Address { ip: [u8; 16], port: u16, pad: u16 }
    /// `struct service`
    struct Service { slots: u32, slot: [u8; SLOTS], backends: [Address; MAX_BACKENDS] }
    /// `struct route`
    struct Route { service: Address, backend: Address }
    /// `struct counters`
    struct Counters { connections: u64, open: u64, sent: u64, received: u64, bypassed: u64 }
}

impl From<SocketAddr> for Address {
    fn from(a: SocketAddr) -> Address {
        let ip = match a.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Address { ip: ip.octets(), port: a.port(), pad: 0 }
    }
}

/// What `list` shows, and how wide.
const COLUMNS: [(&str, usize); 9] = [
    ("service", 21),
    ("backend", 21),
    ("weight", 6),
    ("lives", 5),
    ("connections", 11),
    ("open", 6),
    ("sent", 12),
    ("received", 12),
    ("bypassed", 12),
];

struct Backend {
    address: SocketAddr,
    weight: usize,
    lives: bool,
    /// How often it was late, in a row.
    late: u32,
}

/// The services and their backends, and the programs that lead there.
pub(crate) struct Mesh {
    backends: BTreeMap<SocketAddr, Vec<Backend>>,
    services: HashMap<Address, Service>,
    traffic: HashMap<Route, Counters>,
    json: bool,
    _links: Vec<Link>,
}

impl Mesh {
    /// Attaches the programs to a cgroup.
    pub(crate) fn start(group: &Path, json: bool) -> Result<Mesh, Box<dyn Error>> {
        let object = Object::parse("mesh", OBJECT)?;
        let loaded = object.plan(&Kernel::host(), &Options::default())?.run()?;
        let map = |name| loaded.map(name).ok_or(format!("no map `{name}`"));
        let mut links = Vec::new();
        // Sockets get the program that their map has when they are put in: so that one is attached first.
        let sockets = Target::Sockmap(Sockmap::new(MapRef::of(map("sockets")?)?));
        let cgroup = Target::Cgroup(Cgroup::new(group));
        for name in ["bypass", "join", "peer_ip4", "peer_ip6", "connect_ip4", "connect_ip6"] {
            let program = loaded.program(name).ok_or(format!("no program `{name}`"))?;
            links.push(rawbpf::attach(program, if name == "bypass" { &sockets } else { &cgroup })?);
        }
        let (services, traffic) = (map("services")?.try_into()?, map("traffic")?.try_into()?);
        Ok(Mesh { backends: BTreeMap::new(), services, traffic, json, _links: links })
    }

    /// Tells the programs the living backends of a service.
    fn publish(&self, service: SocketAddr) -> Result<(), Box<dyn Error>> {
        let living: Vec<_> = self.backends[&service].iter().filter(|b| b.lives).collect();
        let slots = living.iter().enumerate().flat_map(|(n, b)| std::iter::repeat_n(n as u8, b.weight));
        let mut value =
            Service { slots: 0, slot: [0; SLOTS], backends: [Address::from(service); MAX_BACKENDS] };
        for (slot, n) in value.slot.iter_mut().zip(slots) {
            (*slot, value.slots) = (n, value.slots + 1);
        }
        for (place, backend) in value.backends.iter_mut().zip(living) {
            *place = backend.address.into();
        }
        Ok(self.services.set(&service.into(), &value)?)
    }

    /// Does what a line says. False if it was the last.
    pub(crate) fn command(&mut self, line: &str) -> Result<bool, Box<dyn Error>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (service, address, weight) = match words[..] {
            [] => return Ok(true),
            ["quit"] => return Ok(false),
            ["list"] => return self.list().map(|()| true),
            ["add", service, backend] => (service, backend, 1),
            ["add", service, backend, weight] => (service, backend, weight.parse()?),
            ["remove", service, backend] => (service, backend, 0),
            _ => return Err("say add SERVICE BACKEND [WEIGHT], remove SERVICE BACKEND, list or quit".into()),
        };
        let parse = |text: &str| text.parse().map_err(|_| format!("`{text}` is no ADDRESS:PORT"));
        let (service, address): (SocketAddr, SocketAddr) = (parse(service)?, parse(address)?);
        if service.is_ipv4() != address.is_ipv4() {
            return Err("a service and its backends are all of IPv4 or all of IPv6".into());
        }
        let backends = self.backends.entry(service).or_default();
        let others = backends.iter().filter(|b| b.address != address);
        let (count, weights) = others.fold((0, 0), |(n, sum), b| (n + 1, sum + b.weight));
        if weight > 0 && (count >= MAX_BACKENDS || weight > SLOTS - weights) {
            return Err(format!("a service has {MAX_BACKENDS} backends, and {SLOTS} weights in all").into());
        }
        backends.retain(|b| b.address != address);
        if weight > 0 {
            backends.push(Backend { address, weight, lives: true, late: 0 });
        } else if backends.is_empty() {
            self.backends.remove(&service);
            return Ok(self.services.delete(&service.into()).map(|_| true)?);
        }
        self.publish(service).map(|()| true)
    }

    /// Connects to every backend. Those that refuse or have been late too often are left out, and taken back when
    /// they answer.
    pub(crate) fn check(&mut self) -> Result<(), Box<dyn Error>> {
        let mut changed = Vec::new();
        for (service, backends) in &mut self.backends {
            for backend in backends {
                let lives = match TcpStream::connect_timeout(&backend.address, PATIENCE) {
                    Err(e) if e.kind() == ErrorKind::TimedOut => {
                        backend.late = LATE.min(backend.late + 1);
                        backend.lives && backend.late < LATE
                    }
                    answer => {
                        backend.late = 0;
                        answer.is_ok()
                    }
                };
                if lives != backend.lives {
                    eprintln!("mesh: {} {}", backend.address, if lives { "lives" } else { "is dead" });
                    backend.lives = lives;
                    changed.push(*service);
                }
            }
        }
        changed.into_iter().try_for_each(|service| self.publish(service))
    }

    /// Prints what became of every backend.
    pub(crate) fn list(&self) -> Result<(), Box<dyn Error>> {
        let mut rows = Vec::new();
        for (service, backends) in &self.backends {
            for Backend { address, weight, lives, .. } in backends {
                let route = Route { service: (*service).into(), backend: (*address).into() };
                let zero = Counters { connections: 0, open: 0, sent: 0, received: 0, bypassed: 0 };
                let c = self.traffic.get(&route)?.unwrap_or(zero);
                rows.push(serde_json::json!({ "service": service.to_string(), "backend": address.to_string(),
                    "weight": weight, "lives": lives, "connections": c.connections, "open": c.open, "sent": c.sent,
                    "received": c.received, "bypassed": c.bypassed }));
            }
        }
        if self.json {
            println!("{}", serde_json::json!({ "backends": rows }));
            return Ok(());
        }
        let head = COLUMNS.map(|(name, width)| format!("{:width$}", name.to_uppercase()));
        println!("{}", head.join(" "));
        for row in rows {
            let text = |v: &serde_json::Value| v.as_str().map_or(v.to_string(), String::from);
            println!("{}", COLUMNS.map(|(name, width)| format!("{:width$}", text(&row[name]))).join(" "));
        }
        Ok(())
    }
}
