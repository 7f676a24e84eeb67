/// The five characters with which PostgreSQL says what became of a statement.
///
/// Source: PostgreSQL documentation, appendix A. The constants carry PostgreSQL's own condition names.
package struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
  package let rawValue: String

  package init(rawValue: String) { self.rawValue = rawValue }

  /// The first two characters: what kind of condition this is.
  package var sqlClass: Class { Class(rawValue: String(rawValue.prefix(2))) }

  /// PostgreSQL's name of the condition, if it is one of those that are named here.
  package var conditionName: String? { Self.conditionNames[self] }

  package var description: String {
    conditionName.map { "\(rawValue) \($0)" } ?? rawValue
  }

  package struct Class: RawRepresentable, Hashable, Sendable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }

    package static let connectionException = Class(rawValue: "08")
    package static let dataException = Class(rawValue: "22")
    package static let integrityConstraintViolation = Class(rawValue: "23")
    package static let invalidAuthorization = Class(rawValue: "28")
    package static let transactionRollback = Class(rawValue: "40")
    package static let insufficientResources = Class(rawValue: "53")
    package static let operatorIntervention = Class(rawValue: "57")

    package static func ~= (pattern: Class, value: SQLState?) -> Bool { pattern == value?.sqlClass }
  }

  package static func ~= (pattern: SQLState, value: SQLState?) -> Bool { pattern == value }
}

extension SQLState {
  package static let privilegeNotRevoked = SQLState(rawValue: "01006")
  package static let privilegeNotGranted = SQLState(rawValue: "01007")
  package static let protocolViolation = SQLState(rawValue: "08P01")
  package static let featureNotSupported = SQLState(rawValue: "0A000")
  package static let invalidParameterValue = SQLState(rawValue: "22023")
  package static let notNullViolation = SQLState(rawValue: "23502")
  package static let foreignKeyViolation = SQLState(rawValue: "23503")
  package static let uniqueViolation = SQLState(rawValue: "23505")
  package static let checkViolation = SQLState(rawValue: "23514")
  package static let exclusionViolation = SQLState(rawValue: "23P01")
  package static let readOnlySQLTransaction = SQLState(rawValue: "25006")
  package static let inFailedSQLTransaction = SQLState(rawValue: "25P02")
  package static let idleInTransactionSessionTimeout = SQLState(rawValue: "25P03")
  package static let invalidAuthorizationSpecification = SQLState(rawValue: "28000")
  package static let invalidPassword = SQLState(rawValue: "28P01")
  package static let dependentObjectsStillExist = SQLState(rawValue: "2BP01")
  package static let invalidCatalogName = SQLState(rawValue: "3D000")
  package static let invalidSchemaName = SQLState(rawValue: "3F000")
  package static let serializationFailure = SQLState(rawValue: "40001")
  package static let deadlockDetected = SQLState(rawValue: "40P01")
  package static let insufficientPrivilege = SQLState(rawValue: "42501")
  package static let syntaxError = SQLState(rawValue: "42601")
  package static let undefinedObject = SQLState(rawValue: "42704")
  package static let duplicateObject = SQLState(rawValue: "42710")
  package static let undefinedColumn = SQLState(rawValue: "42703")
  package static let undefinedFunction = SQLState(rawValue: "42883")
  package static let undefinedTable = SQLState(rawValue: "42P01")
  package static let duplicateDatabase = SQLState(rawValue: "42P04")
  package static let duplicateSchema = SQLState(rawValue: "42P06")
  package static let duplicateTable = SQLState(rawValue: "42P07")
  package static let wrongObjectType = SQLState(rawValue: "42809")
  package static let diskFull = SQLState(rawValue: "53100")
  package static let outOfMemory = SQLState(rawValue: "53200")
  package static let tooManyConnections = SQLState(rawValue: "53300")
  package static let configurationLimitExceeded = SQLState(rawValue: "53400")
  package static let programLimitExceeded = SQLState(rawValue: "54000")
  package static let objectNotInPrerequisiteState = SQLState(rawValue: "55000")
  package static let objectInUse = SQLState(rawValue: "55006")
  package static let lockNotAvailable = SQLState(rawValue: "55P03")
  package static let queryCanceled = SQLState(rawValue: "57014")
  package static let adminShutdown = SQLState(rawValue: "57P01")
  package static let crashShutdown = SQLState(rawValue: "57P02")
  package static let cannotConnectNow = SQLState(rawValue: "57P03")
  package static let databaseDropped = SQLState(rawValue: "57P04")
  package static let idleSessionTimeout = SQLState(rawValue: "57P05")
  package static let raiseException = SQLState(rawValue: "P0001")
  package static let internalError = SQLState(rawValue: "XX000")

  private static let conditionNames: [SQLState: String] = [
    .privilegeNotRevoked: "privilege_not_revoked", .privilegeNotGranted: "privilege_not_granted",
    .protocolViolation: "protocol_violation", .featureNotSupported: "feature_not_supported",
    .notNullViolation: "not_null_violation", .foreignKeyViolation: "foreign_key_violation",
    .uniqueViolation: "unique_violation", .checkViolation: "check_violation",
    .readOnlySQLTransaction: "read_only_sql_transaction", .inFailedSQLTransaction: "in_failed_sql_transaction",
    .idleInTransactionSessionTimeout: "idle_in_transaction_session_timeout",
    .invalidAuthorizationSpecification: "invalid_authorization_specification",
    .invalidPassword: "invalid_password", .dependentObjectsStillExist: "dependent_objects_still_exist",
    .invalidCatalogName: "invalid_catalog_name", .invalidSchemaName: "invalid_schema_name",
    .serializationFailure: "serialization_failure", .deadlockDetected: "deadlock_detected",
    .insufficientPrivilege: "insufficient_privilege", .syntaxError: "syntax_error",
    .undefinedObject: "undefined_object", .duplicateObject: "duplicate_object",
    .undefinedColumn: "undefined_column", .undefinedFunction: "undefined_function",
    .undefinedTable: "undefined_table", .duplicateDatabase: "duplicate_database",
    .duplicateSchema: "duplicate_schema", .duplicateTable: "duplicate_table",
    .wrongObjectType: "wrong_object_type", .diskFull: "disk_full", .outOfMemory: "out_of_memory",
    .tooManyConnections: "too_many_connections", .configurationLimitExceeded: "configuration_limit_exceeded",
    .programLimitExceeded: "program_limit_exceeded", .objectInUse: "object_in_use",
    .lockNotAvailable: "lock_not_available", .queryCanceled: "query_canceled",
    .adminShutdown: "admin_shutdown", .crashShutdown: "crash_shutdown",
    .cannotConnectNow: "cannot_connect_now", .databaseDropped: "database_dropped",
    .idleSessionTimeout: "idle_session_timeout",
    .raiseException: "raise_exception", .internalError: "internal_error",
  ]
}
