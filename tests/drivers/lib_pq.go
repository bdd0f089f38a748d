// lib/pq, as an application in Go uses it: lib_pq URL
//
// The table `items` may live in any store, `words` is relational. Plain PostgreSQL passes too.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

const tables = `
CREATE TABLE items (
    id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2), tags jsonb, owner uuid, at timestamptz, raw bytea,
    done boolean, score float8, big bigint, labels text[]
);
CREATE TABLE words (id int PRIMARY KEY, word text NOT NULL UNIQUE);`

var url string

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(found, expected interface{}) {
	if !reflect.DeepEqual(found, expected) {
		panic(fmt.Sprintf("expected %#v, found %#v", expected, found))
	}
}

func fails(err error, state string) *pq.Error {
	told, ok := err.(*pq.Error)
	if !ok || string(told.Code) != state {
		panic(fmt.Sprintf("expected %s, found %v", state, err))
	}
	return told
}

type asker interface {
	Query(query string, args ...interface{}) (*sql.Rows, error)
}

func ids(db asker, query string, args ...interface{}) []int {
	rows, err := db.Query(query, args...)
	must(err)
	defer rows.Close()
	found := []int{}
	for rows.Next() {
		var id int
		must(rows.Scan(&id))
		found = append(found, id)
	}
	must(rows.Err())
	return found
}

func types(db *sql.DB) {
	at := time.Date(2026, 3, 1, 7, 30, 15, 123456000, time.UTC)
	_, err := db.Exec("INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", 1, "naïve ☃ 'quoted' \\", "12345678.90",
		`{"a": [1, null, "ü"]}`, "00000000-0000-0000-0000-000000000007", at, []byte{0, 255, 92}, true, 0.1, int64(1<<63-1),
		pq.Array([]string{"a", "b,c", `"`}))
	must(err)
	_, err = db.Exec("INSERT INTO items (id, name, price) VALUES ($1, $2, $3)", 2, "", nil)
	must(err)
	var name, price, tags, owner string
	var when time.Time
	var raw []byte
	var done bool
	var score float64
	var big int64
	var labels []string
	row := db.QueryRow("SELECT name, price, tags, owner, at, raw, done, score, big, labels FROM items WHERE id = $1", 1)
	must(row.Scan(&name, &price, &tags, &owner, &when, &raw, &done, &score, &big, pq.Array(&labels)))
	equal([]interface{}{name, price, tags, owner, when.UTC(), raw, done, score, big, labels}, []interface{}{"naïve ☃ 'quoted' \\", "12345678.90",
		`{"a": [1, null, "ü"]}`, "00000000-0000-0000-0000-000000000007", at, []byte{0, 255, 92}, true, 0.1, int64(1<<63 - 1),
		[]string{"a", "b,c", `"`}})
	var none sql.NullString
	must(db.QueryRow("SELECT price FROM items WHERE id = $1", 2).Scan(&none))
	equal(none.Valid, false)
	equal(ids(db, "SELECT id FROM items WHERE at = $1", at), []int{1})
	equal(ids(db, "SELECT id FROM items WHERE id = ANY ($1) ORDER BY id", pq.Array([]int{1, 2, 3})), []int{1, 2})
}

func prepared(db *sql.DB) {
	put, err := db.Prepare("INSERT INTO items (id, name) VALUES ($1, $2)")
	must(err)
	get, err := db.Prepare("SELECT name FROM items WHERE id = $1")
	must(err)
	var wait sync.WaitGroup
	// database/sql prepares a statement anew on each of its connections.
	for id := 10; id < 30; id++ {
		wait.Add(1)
		go func(id int) {
			defer wait.Done()
			_, err := put.Exec(id, fmt.Sprint("item ", id))
			must(err)
			var name string
			must(get.QueryRow(id).Scan(&name))
			equal(name, fmt.Sprint("item ", id))
		}(id)
	}
	wait.Wait()
	_, err = put.Exec(10, "again")
	equal(fails(err, "23505").Constraint, "items_pkey")
	must(put.Close())
	must(get.Close())
	done, err := db.Exec("DELETE FROM items WHERE id >= $1", 10)
	must(err)
	count, err := done.RowsAffected()
	must(err)
	equal(count, int64(20))
}

func transactions(db *sql.DB) {
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("INSERT INTO items (id, name) VALUES ($1, 'kept')", 40)
	must(err)
	_, err = tx.Exec("INSERT INTO words VALUES (40, 'kept'); SAVEPOINT here")
	must(err)
	_, err = tx.Exec("INSERT INTO words VALUES ($1, 'kept')", 41)
	equal(fails(err, "23505").Table, "words")
	_, err = tx.Exec("SELECT id FROM items WHERE id = $1", 1)
	fails(err, "25P02")
	_, err = tx.Exec("ROLLBACK TO here")
	must(err)
	equal(ids(tx, "SELECT id FROM items ORDER BY id"), []int{1, 2, 40})
	must(tx.Commit())
	tx, err = db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	must(err)
	_, err = tx.Exec("DELETE FROM items WHERE id = $1", 40)
	must(err)
	must(tx.Rollback())
	equal(ids(db, "SELECT id FROM items ORDER BY id"), []int{1, 2, 40})
	tx, err = db.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	must(err)
	_, err = tx.Exec("INSERT INTO words VALUES (41, 'x')")
	fails(err, "25006")
	must(tx.Rollback())
	_, err = db.Exec("DELETE FROM items WHERE id = 40; DELETE FROM words")
	must(err)
}

func copies(db *sql.DB) {
	tx, err := db.Begin()
	must(err)
	copy, err := tx.Prepare(pq.CopyIn("words", "id", "word"))
	must(err)
	for id := 1; id <= 1000; id++ {
		_, err = copy.Exec(id, fmt.Sprint("word ", id))
		must(err)
	}
	_, err = copy.Exec()
	must(err)
	must(copy.Close())
	must(tx.Commit())
	equal(ids(db, "SELECT count(*) FROM words"), []int{1000})
	_, err = db.Exec("TRUNCATE words")
	must(err)
}

func failures(db *sql.DB) {
	_, err := db.Exec("INSERT INTO items (id) VALUES ($1)", 9)
	equal(fails(err, "23502").Column, "name")
	_, err = db.Exec("SELECT * FROM nowhere")
	equal(fails(err, "42P01").Position, "15")
	_, err = db.Query("SELECT nothing FROM items WHERE id = $1", 1)
	fails(err, "42703")
	_, err = db.Exec("SELEC")
	fails(err, "42601")
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err = db.ExecContext(ctx, "SELECT pg_sleep(30)"); err == nil {
		panic("no cancel")
	}
	equal(ids(db, "SELECT 1"), []int{1})
	conn, err := db.Conn(context.Background())
	must(err)
	defer conn.Close()
	_, err = conn.ExecContext(context.Background(), "SET TimeZone = 'Asia/Tokyo'")
	must(err)
	var shown string
	must(conn.QueryRowContext(context.Background(), "SELECT (timestamptz '2026-01-01 00:00+00')::text").Scan(&shown))
	equal(shown, "2026-01-01 09:00:00+09")
}

func notifications(db *sql.DB) {
	listener := pq.NewListener(url, time.Second, time.Minute, nil)
	defer listener.Close()
	must(listener.Listen("news"))
	_, err := db.Exec("SELECT pg_notify('news', $1)", "hello")
	must(err)
	select {
	case heard := <-listener.Notify:
		equal([]string{heard.Channel, heard.Extra}, []string{"news", "hello"})
	case <-time.After(20 * time.Second):
		panic("nothing heard")
	}
}

func main() {
	url = os.Args[1]
	if !strings.Contains(url, "?") {
		url += "?sslmode=disable"
	}
	db, err := sql.Open("postgres", url)
	must(err)
	_, err = db.Exec(tables)
	must(err)
	failed := 0
	stories := []struct {
		name string
		tell func(*sql.DB)
	}{{"types", types}, {"prepared", prepared}, {"transactions", transactions}, {"copies", copies}, {"failures", failures}, {"notifications", notifications}}
	for _, story := range stories {
		func() {
			// A pool each, so that one that fails doesn't take the next ones with it.
			db, err := sql.Open("postgres", url)
			must(err)
			defer db.Close()
			defer func() {
				if told := recover(); told != nil {
					failed++
					fmt.Println(story.name+":", told)
				}
			}()
			story.tell(db)
		}()
	}
	if failed > 0 {
		os.Exit(1)
	}
}
