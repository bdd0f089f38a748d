//! `[[tables]]`

use super::{WELL, adding, has};

const NAME: &str = "write schema.table, with double quotes around parts that PostgreSQL would fold: public.\"Sessions\"";

#[test]
fn names() {
    for name in ["a.b.c", "public.", ".t", "1st", "a b", "\\\"t", ""] {
        let text = format!("{WELL}[[tables]]\nname = \"{name}\"\nstore = \"fast\"\n");
        match name {
            "" => has(&text, &[(11, 8, "`name` is empty", "write it, or leave the key out")]),
            _ => {
                let message = format!("\"{}\" isn't a table's name", name.replace('\\', ""));
                has(&text, &[(11, 8, &message, NAME)]);
            }
        }
    }
    let long = "x".repeat(64);
    has(
        &format!("{WELL}[[tables]]\nname = \"public.{long}\"\nstore = \"fast\"\n"),
        &[(
            11,
            8,
            &format!("\"{long}\" is too long for a name"),
            "names have at most 63 bytes in PostgreSQL",
        )],
    );
}

#[test]
fn homes() {
    adding(&[
        (
            "[[tables]]\nname = \"t\"\nstore = \"fsat\"\n",
            (
                12,
                9,
                "there is no store \"fsat\"",
                "did you mean \"fast\"? Stores that can be home to a table: dyn, fast",
            ),
        ),
        (
            "[[tables]]\nname = \"t\"\nstore = \"elsewhere\"\n",
            (
                12,
                9,
                "there is no store \"elsewhere\"",
                "stores that can be home to a table: dyn, fast",
            ),
        ),
        (
            "[[tables]]\nname = \"t\"\nstore = \"main\"\n",
            (
                12,
                9,
                "store \"main\" is PostgreSQL",
                "tables that aren't listed live in PostgreSQL by themselves: leave this entry out",
            ),
        ),
    ]);
    has(
        "auth = \"trust\"\n[stores.main]\nkind = \"embedded-postgres\"\n[[tables]]\nname = \"t\"\nstore = \"fast\"\n",
        &[(
            6,
            9,
            "there is no store \"fast\"",
            "add [stores.fast] with its kind: only PostgreSQL's own tables need none",
        )],
    );
}

#[test]
fn twice() {
    let table = "[[tables]]\nname = \"t\"\nstore = \"fast\"\n";
    has(
        &format!("{WELL}{table}[[tables]]\nname = \"public.T\"\nstore = \"dyn\"\n"),
        &[(14, 8, "table \"public.t\" is listed twice", "a table has one home")],
    );
    has(
        &format!(
            "{WELL}{table}[[tables]]\nname = \"u\"\nstore = \"fast\"\nphysical_name = \"public.t\"\n"
        ),
        &[(
            13,
            1,
            "tables \"public.t\" and \"public.u\" have the same name in store \"fast\"",
            "give each a physical_name of its own",
        )],
    );
}

/// A table in this store with these keys, from line 13 on, has this mistake.
#[track_caller]
fn keys(store: &str, rest: &str, expected: super::Mistake<'_>) {
    has(&format!("{WELL}[[tables]]\nname = \"t\"\nstore = \"{store}\"\n{rest}"), &[expected]);
}

#[test]
fn layouts() {
    let redis = "it is for Redis and memory: leave it out";
    keys(
        "fast",
        "layout = \"list\"\n",
        (
            13,
            10,
            "`layout` can't be \"list\"",
            "`layout` is one of: \"hash\", \"json\", \"sorted_set\"",
        ),
    );
    keys(
        "fast",
        "layout = \"list\"\nscore = \"points\"\n",
        (
            13,
            10,
            "`layout` can't be \"list\"",
            "`layout` is one of: \"hash\", \"json\", \"sorted_set\"",
        ),
    );
    keys(
        "fast",
        "layout = \"sorted_set\"\n",
        (
            10,
            1,
            "layout sorted_set without `score`",
            "add score = \"column\": the column that orders the set",
        ),
    );
    keys(
        "fast",
        "score = \"points\"\n",
        (
            13,
            9,
            "`score` without layout = \"sorted_set\"",
            "add the layout, or leave the score out",
        ),
    );
    keys(
        "fast",
        "layout = \"hash\"\nscore = \"points\"\n",
        (
            14,
            9,
            "`score` means nothing with layout = \"hash\"",
            "use layout = \"sorted_set\", or leave the score out",
        ),
    );
    keys(
        "fast",
        "layout = \"sorted_set\"\nscore = \"points\"\nexpires_at = \"until\"\n",
        (
            15,
            14,
            "`expires_at` means nothing with layout = \"sorted_set\"",
            "the members of a sorted set don't expire one by one: leave it out, or use another layout",
        ),
    );
    for layout in ["hash", "sorted_set"] {
        let rest = format!("layout = \"{layout}\"\nscore = \"points\"\n");
        has(
            &format!("{WELL}[[tables]]\nname = \"t\"\nstore = \"dyn\"\n{rest}"),
            &[
                (13, 10, "`layout` means nothing in a dynamodb store", redis),
                (14, 9, "`score` means nothing in a dynamodb store", redis),
            ],
        );
    }
    keys(
        "dyn",
        "score = \"points\"\n",
        (13, 9, "`score` means nothing in a dynamodb store", redis),
    );
}

#[test]
fn what_is_dynamodbs() {
    keys(
        "fast",
        "consistent_read = true\n",
        (
            13,
            19,
            "`consistent_read` means nothing in a redis store",
            "it is for DynamoDB: leave it out",
        ),
    );
    let rule = "these names have 3 to 255 letters, digits, _, - and .: give another physical_name";
    keys(
        "dyn",
        "physical_name = \"search history\"\n",
        (13, 17, "\"search history\" can't be the name of a table in DynamoDB", rule),
    );
    keys(
        "dyn",
        "physical_name = \"ab\"\n",
        (13, 17, "\"ab\" can't be the name of a table in DynamoDB", rule),
    );
    has(
        &format!(
            "{WELL}table_prefix = \"prod-\"\n[[tables]]\nname = \"wörter\"\nstore = \"dyn\"\n"
        ),
        &[(12, 8, "\"prod-public.wörter\" can't be the name of a table in DynamoDB", rule)],
    );
}

#[test]
fn indexes() {
    let table = |store: &str, indexes: &str| {
        format!("[[tables]]\nname = \"t\"\nstore = \"{store}\"\nindexes = [{indexes}]\n")
    };
    let cases = [
        (
            table("fast", "{ name = \"i\", columns = [] }"),
            (
                13,
                36,
                "index \"i\" has no columns",
                "name the column to find rows by, and perhaps one that orders them",
            ),
        ),
        (
            table("fast", "{ name = \"i\", columns = [\"a\", \"a\"] }"),
            (13, 36, "column \"a\" is twice in index \"i\"", "name each column once"),
        ),
        (
            table(
                "dyn",
                "{ name = \"i\", columns = [\"a\"] }, { name = \"i\", columns = [\"b\"] }",
            ),
            (13, 54, "index \"i\" is listed twice", "give each a name of its own"),
        ),
        (
            table("dyn", "{ name = \"i\", columns = [\"a\", \"b\", \"c\"] }"),
            (
                13,
                36,
                "index \"i\" has 3 columns",
                "an index in DynamoDB has a partition key and at most one sort key",
            ),
        ),
        (
            table("dyn", "{ name = \"i\", columns = [\"a\"], kind = \"local\" }"),
            (
                13,
                36,
                "index \"i\" is local and has one column",
                "a local index has the table's first key column and another that orders the rows",
            ),
        ),
        (
            table("fast", "{ name = \"i\", columns = [\"a\"], kind = \"global\" }"),
            (13, 50, "`kind` means nothing in a redis store", "it is for DynamoDB: leave it out"),
        ),
        (
            table("fast", "{ name = \"i\", columns = [\"a\"], consistent_read = false }"),
            (
                13,
                61,
                "`consistent_read` means nothing in a redis store",
                "it is for DynamoDB: leave it out",
            ),
        ),
    ];
    for (text, mistake) in cases {
        adding(&[(&text, mistake)]);
    }
}
