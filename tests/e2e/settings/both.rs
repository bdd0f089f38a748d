//! The same client of the gateway and of plain PostgreSQL, and code that changes settings.

use flywheel_tests::raw::{Client, Event, Message};
use flywheel_tests::{Setup, World};

/// Code that sets something, of every kind that runs unseen.
const CODE: &str = "
CREATE TABLE accounts (id int, tenant text); INSERT INTO accounts VALUES (1, 'one'), (2, 'two');
CREATE SCHEMA apart; CREATE TABLE apart.accounts (id int, tenant text); INSERT INTO apart.accounts VALUES (3, 'one');
CREATE TABLE plain (k int PRIMARY KEY, v int); INSERT INTO plain VALUES (1, 0);
CREATE FUNCTION becomes(tenant text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', tenant, false) $$;
CREATE FUNCTION stable_becomes(tenant text) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM becomes(tenant); RETURN tenant; END $$;
CREATE FUNCTION executes(tenant text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SET app.tenant = ' || quote_literal(tenant); END $$;
CREATE FUNCTION formats(tenant text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('SET app.tenant = %L', tenant); END $$;
CREATE FUNCTION sets_path() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET search_path = apart; END $$;
CREATE FUNCTION runs(command text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; END $$;
CREATE FUNCTION stays() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'one', true); END $$;
CREATE FUNCTION fails() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM becomes('one'); RAISE 'no'; END $$;
CREATE FUNCTION tries() RETURNS void LANGUAGE plpgsql AS $$ BEGIN BEGIN PERFORM becomes('one'); RAISE 'no'; EXCEPTION WHEN OTHERS THEN NULL; END; END $$;
CREATE FUNCTION atomic() RETURNS text BEGIN ATOMIC SELECT set_config('app.tenant', 'one', false); END;
CREATE PROCEDURE proceeds() LANGUAGE plpgsql AS $$ BEGIN PERFORM becomes('one'); END $$;
CREATE FUNCTION on_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM becomes('one'); RETURN NEW; END $$;
CREATE VIEW sees AS SELECT becomes('one');
CREATE VIEW sees_more AS SELECT * FROM sees;
CREATE VIEW calls AS SELECT set_config('app.tenant', 'one', false) AS tenant;
CREATE TABLE defaulted (id int, tenant text DEFAULT set_config('app.tenant', 'one', false));
CREATE TABLE triggered (id int); CREATE TRIGGER t BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION on_write();
CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int REFERENCES parents ON DELETE CASCADE);
CREATE TRIGGER t AFTER DELETE ON children FOR EACH ROW EXECUTE FUNCTION on_write();
CREATE TABLE parted (id int) PARTITION BY RANGE (id); CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
CREATE TRIGGER t BEFORE INSERT ON part FOR EACH ROW EXECUTE FUNCTION on_write();
CREATE TABLE later (id int); CREATE CONSTRAINT TRIGGER t AFTER INSERT ON later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION on_write();
CREATE DOMAIN checked AS int CHECK (becomes('one') IS NOT NULL); CREATE TABLE of_domain (id checked);
CREATE TABLE ruled (id int); CREATE RULE r AS ON INSERT TO ruled DO ALSO SELECT becomes('one');
";

/// The same client twice.
pub(super) struct Both {
    pub(super) ours: Client,
    pub(super) theirs: Client,
}

async fn login(address: &str, database: &str, parameters: &[(&str, &str)]) -> (Client, Vec<Event>) {
    let mut client = Client::connect(address).await.expect("a connection");
    let whose = [("user", "postgres"), ("database", database)];
    let startup: Vec<_> = whose.iter().chain(parameters).copied().collect();
    client.send(&[Message::startup(&startup)]).await.expect("sent");
    let answer = client.until_ready().await.expect("an answer");
    assert!(
        !answer.iter().any(|event| matches!(event, Event::Error(_))),
        "{parameters:?}: {answer:?}"
    );
    (client, answer)
}

impl Both {
    pub(super) async fn start(world: &World, parameters: &[(&str, &str)]) -> Self {
        let oracle = world.oracle_database();
        let (ours, told) = login(world.gateway_address(), "app", parameters).await;
        let (theirs, expected) = login(oracle.address(), oracle.name(), parameters).await;
        let settings = |events: Vec<Event>| {
            let mut settings: Vec<_> = events
                .into_iter()
                .filter(|event| matches!(event, Event::Setting(..)))
                .map(|event| event.to_string())
                .collect();
            settings.sort();
            settings
        };
        assert_eq!(settings(told), settings(expected), "{parameters:?}");
        Self { ours, theirs }
    }

    /// Says the same to both; the answers are the same.
    pub(super) async fn say(&mut self, messages: &[Message], what: &str) {
        let ours = said(&mut self.ours, messages).await;
        let theirs = said(&mut self.theirs, messages).await;
        assert_eq!(ours, theirs, "{what}");
    }
}

/// What counts: rows, tags, codes of errors, the status, notifications (which may come before the
/// answer or within it), and settings in any order.
pub(super) async fn said(client: &mut Client, messages: &[Message]) -> Vec<String> {
    client.send(messages).await.expect("sent");
    let (mut told, mut settings, mut heard) = (Vec::new(), Vec::new(), Vec::new());
    for event in client.until_ready().await.expect("an answer") {
        match event {
            Event::Row(_) | Event::Done(_) | Event::Ready(_) => told.push(event.to_string()),
            Event::Error(report) => told.push(report.state().to_owned()),
            Event::Setting(name, value) if name != "application_name" => {
                settings.push(format!("{name} = {value}"))
            }
            Event::Other('A', body) => {
                // Who has sent it is another process.
                let said = String::from_utf8_lossy(body.get(4..).unwrap_or_default());
                heard.push(format!("heard {}", said.replace('\0', " ")));
            }
            _ => {}
        }
    }
    settings.sort();
    told.extend(heard);
    told.extend(settings);
    told
}

/// A statement as a client sends it.
pub(super) fn statement(sql: &str, is_extended: bool) -> Vec<Message> {
    let is_one = !sql.contains("; ");
    if is_extended && (is_one || sql.contains("$$")) {
        let bind = Message::new(b'B', &[0; 8]);
        vec![Message::parse("", sql, &[]), bind, Message::execute("", 0), Message::sync()]
    } else {
        vec![Message::query(sql)]
    }
}

/// A gateway, and plain PostgreSQL, both with the code.
pub(super) async fn world(main: &str) -> Option<World> {
    let world = Setup::default().main(main).start().await?;
    for client in [world.behind().await, world.oracle().await] {
        client.batch_execute(CODE).await.expect("code");
    }
    Some(world)
}
