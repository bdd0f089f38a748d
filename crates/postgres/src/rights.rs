//! What rights depend on beside the objects that they are granted on: memberships, roles'
//! attributes, and the schemas in which the objects are.

/// An expression whose value changes with any of these.
///
/// Roles are the whole server's: of memberships only those count that lead to something in this
/// database, and a role that is made has no rights yet. Attributes are read from a view, whose rows
/// have no `xmin`.
pub(crate) const RIGHTS: &str = "pg_catalog.concat_ws(';',
 (WITH RECURSIVE here AS (
   SELECT s.refobjid AS role FROM pg_catalog.pg_shdepend s
   WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
   AND s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
   UNION SELECT r.oid FROM pg_catalog.pg_roles r
   WHERE r.oid < 16384 AND (r.rolname !~ '^pg_' OR r.rolname IN ('pg_read_all_data', 'pg_write_all_data'))
   UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN here ON m.roleid = here.role
  ) SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(m.xmin::pg_catalog.text::pg_catalog.int8))
  FROM pg_catalog.pg_auth_members m WHERE m.roleid IN (SELECT role FROM here)),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtext(pg_catalog.concat_ws(',',
  oid, rolsuper, rolinherit, rolbypassrls))::pg_catalog.int8))
  FROM pg_catalog.pg_roles WHERE rolsuper OR rolbypassrls OR NOT rolinherit),
 (SELECT pg_catalog.concat_ws(':', pg_catalog.count(*), pg_catalog.sum(xmin::pg_catalog.text::pg_catalog.int8))
  FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'))";
