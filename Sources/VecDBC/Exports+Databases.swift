// The functions have the names of the header.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import CVecDB
import VecDB

@c @implementation
public func vecdb_open(
  _ path: UnsafePointer<CChar>?, _ pathLength: Int, _ options: UnsafePointer<CChar>?,
  _ optionsLength: Int, _ database: UnsafeMutablePointer<vecdb_database>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let path = try Inputs.text(path, pathLength, "path")
    var options = try Options(options, optionsLength)
    let configuration = try options.configuration()
    guard let database else {
      throw Failure.argument("the place of the handle is NULL", at: "database")
    }
    let opened = try Call.wait { try await Database.open(at: path, configuration: configuration) }
    database.pointee = Open.databases.add(opened)
  }
}

@c @implementation
public func vecdb_close(_ database: vecdb_database, _ error: ErrorResult?) -> vecdb_code {
  Call.run(error) {
    try Open.databases.requireGiven(database)
    guard let open = Open.databases.remove(database) else { return }
    try Call.wait { try await open.close() }
  }
}

@c @implementation
public func vecdb_stats(
  _ database: vecdb_database, _ graphDigests: Int32, _ json: TextResult?,
  _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    try Memory.store(try open.stats(graphDigests: graphDigests != 0), json, length)
  }
}

@c @implementation
public func vecdb_checkpoint(
  _ database: vecdb_database, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    try Memory.store(try Call.wait { try await open.checkpoint() }, json, length)
  }
}

@c @implementation
public func vecdb_check(
  _ database: vecdb_database, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    try Memory.store(try Call.wait { try await open.check() }, json, length)
  }
}

@c @implementation
public func vecdb_backup(
  _ database: vecdb_database, _ repository: UnsafePointer<CChar>?, _ repositoryLength: Int,
  _ options: UnsafePointer<CChar>?, _ optionsLength: Int, _ json: TextResult?,
  _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let repository = try Inputs.text(repository, repositoryLength, "repository")
    var options = try Options(options, optionsLength)
    let backup = try options.backup()
    let report = try Call.wait { try await open.backup(to: repository, options: backup) }
    try Memory.store(report, json, length)
  }
}

@c @implementation
public func vecdb_restore(
  _ repository: UnsafePointer<CChar>?, _ repositoryLength: Int, _ path: UnsafePointer<CChar>?,
  _ pathLength: Int, _ options: UnsafePointer<CChar>?, _ optionsLength: Int, _ json: TextResult?,
  _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let repository = try Inputs.text(repository, repositoryLength, "repository")
    let path = try Inputs.text(path, pathLength, "path")
    var options = try Options(options, optionsLength)
    let (target, restore) = try options.restore()
    var quiet = Options()
    let configuration = try quiet.configuration()
    let report = try Call.wait {
      try await Database.restore(
        from: repository, to: path, target: target, options: restore, configuration: configuration)
    }
    try Memory.store(report, json, length)
  }
}

@c @implementation
public func vecdb_backups(
  _ repository: UnsafePointer<CChar>?, _ repositoryLength: Int, _ json: TextResult?,
  _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let repository = try Inputs.text(repository, repositoryLength, "repository")
    try Memory.store(try Database.backups(in: repository), json, length)
  }
}

@c @implementation
public func vecdb_verify(
  _ repository: UnsafePointer<CChar>?, _ repositoryLength: Int, _ options: UnsafePointer<CChar>?,
  _ optionsLength: Int, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let repository = try Inputs.text(repository, repositoryLength, "repository")
    var options = try Options(options, optionsLength)
    let verification = try options.choice("verification", RestoreVerification.self) ?? .full
    let samples = try options.integer("samples") ?? 0
    try options.requireNoMore()
    let report = try Call.wait {
      try await Database.verify(
        repository: repository, verification: verification, samples: samples)
    }
    try Memory.store(report, json, length)
  }
}

@c @implementation
public func vecdb_mark(
  _ database: vecdb_database, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
  _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?, _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let name = try Inputs.text(name, nameLength, "name")
    try Memory.store(try Call.wait { try await open.mark(name) }, json, length)
  }
}

@c @implementation
public func vecdb_remove_mark(
  _ database: vecdb_database, _ name: UnsafePointer<CChar>?, _ nameLength: Int,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    let name = try Inputs.text(name, nameLength, "name")
    _ = try Call.wait { try await open.removeMark(name) }
  }
}

@c @implementation
public func vecdb_marks(
  _ database: vecdb_database, _ json: TextResult?, _ length: UnsafeMutablePointer<Int>?,
  _ error: ErrorResult?
) -> vecdb_code {
  Call.run(error) {
    let open = try Open.databases.object(database)
    try Memory.store(try Call.wait { try await open.marks() }, json, length)
  }
}
