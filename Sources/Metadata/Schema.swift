import Postgres

/// The migrations of the metadata database and the check that every process makes before it works on one.
package enum Schema {
  package static let migrator = Migrator(migrations: migrations)

  private static let migrations: [Migration] = [
    migration(1, "create_connections", PackageResources.V0001_create_connections_sql),
    migration(2, "create_identities", PackageResources.V0002_create_identities_sql),
    migration(3, "create_policies", PackageResources.V0003_create_policies_sql),
    migration(4, "create_ledger", PackageResources.V0004_create_ledger_sql),
    migration(5, "create_audit", PackageResources.V0005_create_audit_sql),
    migration(6, "narrow_ledger", PackageResources.V0006_narrow_ledger_sql),
    migration(7, "create_queue_rules", PackageResources.V0007_create_queue_rules_sql),
    migration(8, "note_timeline", PackageResources.V0008_note_timeline_sql),
    migration(9, "tell_by_connection", PackageResources.V0009_tell_by_connection_sql),
    migration(10, "split_retention", PackageResources.V0010_split_retention_sql),
    migration(11, "note_stalls", PackageResources.V0011_note_stalls_sql),
    migration(12, "coalesce_classes", PackageResources.V0012_coalesce_classes_sql),
    migration(13, "note_role_oids", PackageResources.V0013_note_role_oids_sql),
    migration(14, "place_audiences", PackageResources.V0014_place_audiences_sql),
    migration(15, "ask_epoch_once", PackageResources.V0015_ask_epoch_once_sql),
    migration(16, "watch_drift", PackageResources.V0016_watch_drift_sql),
    migration(17, "store_columns", PackageResources.V0017_store_columns_sql),
    migration(18, "bound_prerequisites", PackageResources.V0018_bound_prerequisites_sql),
    migration(19, "notice_reach", PackageResources.V0019_notice_reach_sql),
  ]

  private static func migration(_ version: Int, _ name: String, _ bytes: [UInt8]) -> Migration {
    Migration(version: version, name: name, sql: String(decoding: bytes, as: UTF8.self))
  }

  /// Throws unless the database is exactly at this program's version.
  package static func requireCurrent(_ session: MetadataSession) async throws {
    switch try await migrator.state(on: session.connection) {
    case .current: return
    case .empty:
      throw MetadataError(.wrongVersion, "the metadata database is empty; run: sluice migrate")
    case .behind(let found, let known):
      throw MetadataError(
        .wrongVersion, "the metadata database is at version \(found), this program needs \(known); run: sluice migrate")
    case .ahead(let found):
      throw MetadataError(
        .wrongVersion,
        "the metadata database is at version \(found), newer than this program; install a sluice that knows it")
    case .changed(let version):
      throw MetadataError(
        .wrongVersion,
        "migration \(version) of the metadata database differs from this program's; it was made by another build")
    }
  }
}
