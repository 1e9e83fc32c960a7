import Foundation
import Testing

/// A pipe in the place of a file keeps nobody waiting: every verb ends, with an error that names it.
@Suite struct SpecialFileTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 50)
    try Shell.succeed(
      """
      $vecdb backup db repo && $vecdb mark db now && $vecdb backup db repo && cp -r db db.kept \
        && cp -r repo repo.kept
      """, in: folder)
  }

  private func files(in name: String) throws -> [String] {
    let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path(name))
    return paths.filter { path in
      var isDirectory: ObjCBool = false
      _ = FileManager.default.fileExists(
        atPath: folder.path("\(name)/\(path)"), isDirectory: &isDirectory)
      return !isDirectory.boolValue
    }
  }

  @Test func insteadOfFilesOfADatabase() throws {
    var names = try files(in: "db")
    #expect(names.count >= 5)
    for file in names where file.hasSuffix(".sqlite") || file.hasSuffix(".segment") {
      names += ["-wal", "-journal"].map { file + $0 }
    }
    for name in names {
      let result = try Shell.run(
        """
        rm -rf db && cp -r db.kept db && rm -f 'db/\(name)' && mkfifo 'db/\(name)'
        for verb in 'stats db' 'check db' 'get db c k1' 'export db c' 'backup db repo2' \
          'restore --replace repo db'; do
          timeout -k 1 20 $vecdb $verb > /dev/null 2>> errors
          test $? -ge 124 && echo "hangs: $verb"
        done; true
        """, in: folder)
      #expect(result.output.isEmpty, "\(name): \(result.output)")
    }
  }

  @Test func insteadOfFilesOfARepository() throws {
    for name in try files(in: "repo") {
      let result = try Shell.run(
        """
        rm -rf repo copy && cp -r repo.kept repo && rm -f 'repo/\(name)' && mkfifo 'repo/\(name)'
        for verb in 'backups repo' 'verify repo' 'restore repo copy' 'prune repo --keep-last 1' \
          'backup db repo' 'archive db repo'; do
          timeout -k 1 20 $vecdb $verb > /dev/null 2>> errors
          test $? -ge 124 && echo "hangs: $verb"
        done; true
        """, in: folder)
      #expect(result.output.isEmpty, "\(name): \(result.output)")
    }
  }
}
