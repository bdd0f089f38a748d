//! probe
fn env(name: &str) -> Option<String> {
    (name != "UNSET").then(|| format!("value-of-{name}"))
}
fn show(name: &str, text: &str) {
    println!("=== {name}");
    match flywheel_config::parse("dir/flywheel.toml", text, &env) {
        Ok(_) => println!("  OK (no mistake)"),
        Err(report) => {
            for d in report.diagnostics() {
                let (l, c) = report.position(d);
                println!("  {l}:{c} {:?} {} | {}", &text[d.span.clone()], d.message, d.help);
            }
        }
    }
}
const BASE: &str = "auth = \"trust\"\n[stores.main]\nkind = \"postgres\"\nurl = \"postgres://app@db/app\"\nreplicas = [\"postgres://app@r/app\"]\n[stores.fast]\nkind = \"memory\"\n[stores.dyn]\nkind = \"dynamodb\"\nregion = \"x\"\n";
#[test]
fn probe() {
    let b = |s: &str| format!("{BASE}{s}");
    show("base", BASE);
    show("empty", "");
    show("syntax", "a = \nlisten = 5\nauth = \"tru\n[stores.main\n");
    show(
        "six",
        "listen = \"nowhere\"\nauht = \"trust\"\nmax_connections = 0\n[limits]\nlogin_timeout = \"10 parsecs\"\n[[users]]\nname = \"a\"\npassword = \"${UNSET}\"\n[stores.main]\nkind = \"postgres\"\nurl = \"mysql://x\"\n[[tables]]\nname = \"t\"\nstore = \"nope\"\n",
    );
    show("type", &b("[limits]\nmax_fetch_rows = \"many\"\n"));
    show("unset+type", "auth = \"${UNSET}\"\n");
    show("kind", "auth=\"trust\"\n[stores.main]\nkind = \"postgre\"\n");
    show("nokind", "auth=\"trust\"\n[stores.main]\nurl = \"postgre\"\n");
    show("tables not array", &b("[tables]\nname = \"x\"\n"));
    show("wrong kind key", &b("[stores.m2]\nkind = \"memory\"\npool_size = 3\n"));
    show(
        "dup table",
        &b("[[tables]]\nname=\"t\"\nstore=\"fast\"\n[[tables]]\nname=\"public.t\"\nstore=\"fast\"\n"),
    );
    show(
        "route empty tables",
        &b("[[routes]]\nwhen = { tables = [] }\nto = \"main.replicas\"\n"),
    );
    show("route empty", &b("[[routes]]\nwhen = { }\nto = \"main.replicas\"\n"));
    show(
        "route dup spelled otherwise",
        &b(
            "[[routes]]\nwhen = { tables = [\"words\"] }\nto = \"main\"\n[[routes]]\nwhen = { tables = [\"public.words\"] }\nto = \"main.replicas\"\n",
        ),
    );
    show(
        "route user unknown",
        &b("[[routes]]\nwhen = { user = \"x\" }\nto = \"main\"\n[[users]]\nname = \"a\"\n"),
    );
    show("route bad to", &b("[[routes]]\nwhen = { user = \"x\" }\nto = \"main.replica\"\n"));
    show(
        "sslmode",
        "auth=\"trust\"\n[stores.main]\nkind=\"postgres\"\nurl=\"postgres://a:geheim@h/x?sslmode=require\"\n",
    );
    show(
        "sslmode allow",
        "auth=\"trust\"\n[stores.main]\nkind=\"postgres\"\nurl=\"postgres://a@h/x?sslmode=allow\"\n",
    );
    show(
        "hosts",
        "auth=\"trust\"\n[stores.main]\nkind=\"postgres\"\nurl=\"postgres://a@h1,h2/x\"\n",
    );
    show(
        "at in password",
        "auth=\"trust\"\n[stores.main]\nkind=\"postgres\"\nurl=\"postgres://a:p@/ss@h/x\"\n",
    );
    show(
        "no region",
        "auth=\"trust\"\n[stores.main]\nkind=\"embedded-postgres\"\n[stores.d]\nkind=\"dynamodb\"\n",
    );
    show("one credential", &b("access_key_id = \"a\"\n"));
    show(
        "verifier",
        &format!(
            "{}",
            BASE.replace("auth = \"trust\"", "") + "[[users]]\nname=\"a\"\npassword=\"SCRAM-SHA-256$broken\"\n"
        ),
    );
    show(
        "dynamo name",
        &b("table_prefix = \"a b\"\n[[tables]]\nname='public.\"Ünicode x\"'\nstore=\"dyn\"\n"),
    );
    show(
        "sorted_set in dyn",
        &b("[[tables]]\nname=\"t\"\nstore=\"dyn\"\nlayout=\"sorted_set\"\nscore=\"s\"\n"),
    );
    show(
        "sorted expires",
        &b("[[tables]]\nname=\"t\"\nstore=\"fast\"\nlayout=\"sorted_set\"\nscore=\"s\"\nexpires_at=\"e\"\n"),
    );
    show("no score", &b("[[tables]]\nname=\"t\"\nstore=\"fast\"\nlayout=\"sorted_set\"\n"));
    show("consistent", &b("[[tables]]\nname=\"t\"\nstore=\"fast\"\nconsistent_read=true\n"));
    show("dated", &b("[[tables]]\nname=2020-01-01\nstore=\"fast\"\n"));
    show("quoted", &b("[[tables]]\nname='public.\"a\"\"b\"'\nstore=\"fast\"\n"));
    show("empty names", &b("[[users]]\nname=\"\"\n[[tables]]\nname=\"\"\nstore=\"\"\n"));
    show("dot store", &b("[stores.\"main.replicas\"]\nkind=\"memory\"\n"));
    show("dup key", &b("[stores.fast]\nkind=\"memory\"\n"));
    show(
        "missing file",
        &b("[[users]]\nname=\"a\"\npassword = { file = \"/nonexistent\" }\n"),
    );
    show("bad size", &b("[limits]\nmax_message_size = \"64 quarks\"\n"));
    show("umlaut column", "auth = \"trust\" # ü\n\"ü\" = 1 # x\n\"üü\".listne = 1\n");
    show("expand", &b("[[users]]\nname=\"a ${UNSET} ${B} ${UNSET\"\n"));
    let e = flywheel_config::parse(
        "dir/flywheel.toml",
        "lisen = 1\nauth=\"trust\"\n[stores.main]\nkind=\"postgres\"\nurl=\"postgres://a:geheim@h/x?sslmode=require\"\npool_sze = 3",
        &env,
    )
    .unwrap_err();
    println!("{e}\n{e:?}");
    println!("{}", serde_json::to_string_pretty(&flywheel_config::schema()).unwrap());
}
