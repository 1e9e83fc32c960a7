import Foundation
import Testing

/// What a restore and a replica may take the place of.
@Suite struct RestoreReplaceTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 20)
    try Shell.succeed("$vecdb backup db repo", in: folder)
  }

  private func write(_ key: String, to database: String = "db") throws {
    try Shell.succeed(
      """
      echo '{"key":"\(key)","vector":[1,2,3,4]}' | $vecdb import \(database) c - --format jsonl
      """, in: folder)
  }

  private func refused(
    _ arguments: String, _ words: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let result = try Shell.run("$vecdb \(arguments)", in: folder)
    #expect(result.status == 1, sourceLocation: sourceLocation)
    #expect(result.errors.contains(words), "\(result.errors)", sourceLocation: sourceLocation)
    let left = try FileManager.default.contentsOfDirectory(atPath: folder.root)
    #expect(!left.contains { $0.contains(".restoring") }, "\(left)", sourceLocation: sourceLocation)
  }

  private func export(_ database: String = "db") throws -> String {
    try Command.succeed("export", folder.path(database), "c").output
  }

  @Test func whatTheRepositoryDoesNotHaveNeedsAWordOfItsOwn() throws {
    let saved = try export()
    try write("new")
    let all = try export()
    try refused(
      "restore repo db --replace", "1 batches that the repository does not have, LSN 3 to 3")
    try refused("restore repo db --replace --replace-unrelated", "the repository does not have")
    #expect(try export() == all)
    // Saved, it may go: it can be had again.
    try Shell.succeed(
      "$vecdb backup db repo && $vecdb restore repo db --replace --lsn 2", in: folder)
    #expect(try export() == saved)
    try write("other")
    let told = try Shell.succeed("$vecdb restore repo db --replace --discard-unsaved", in: folder)
    #expect(told.errors.contains("LSN 3 to 3"))
    #expect(try export() == all)
  }

  @Test func anUnrelatedDatabaseNeedsAnother() throws {
    try Command.succeed("create", folder.path("other"), "c", "--dimensions", "4", "--metric", "l2")
    try write("mine", to: "other")
    let before = try export("other")
    try refused("restore repo other --replace", "another one, with 2 batches")
    try refused("restore repo other --replace --discard-unsaved", "another one, with 2 batches")
    #expect(try export("other") == before)
    try Shell.succeed("$vecdb restore repo other --replace --replace-unrelated", in: folder)
    #expect(try export("other") == export())
  }

  @Test func whatCannotBeReadNeedsAWordToo() throws {
    let saved = try export()
    for file in try FileManager.default.contentsOfDirectory(atPath: folder.path("db/log")) {
      try folder.write("db/log/\(file)", Data(repeating: 7, count: 5_000))
    }
    try refused("restore repo db --replace", "nobody can tell what would be lost")
    try Shell.succeed("$vecdb restore repo db --replace --discard-unsaved", in: folder)
    #expect(try export() == saved)
  }

  @Test func filesOfOthersStay() throws {
    try Shell.succeed(
      """
      echo note > db/notes.txt; mkdir db/mine db.before-restore db.replaced db.following logs
      echo precious | tee db/mine/x db.before-restore/x db.replaced/x db.following/x > /dev/null
      mkdir logs/log; echo precious > logs/log/x
      $vecdb restore repo db --replace
      """, in: folder)
    for name in [
      "db/notes.txt", "db/mine/x", "db.before-restore/x", "db.replaced/x", "db.following/x",
      "logs/log/x",
    ] {
      #expect(folder.exists(name), "\(name)")
    }
    try refused("restore repo logs --replace", "not a database")
    #expect(folder.exists("logs/log/x"))
    #expect(try export().split(separator: "\n").count == 20)
  }

  @Test func repositoriesAndDatabasesLieApart() throws {
    try refused("backup db db/other", "within the database")
    #expect(!folder.exists("db/other"))
    // Somebody put one there.
    try Shell.succeed("cp -r repo db/inner", in: folder)
    try refused("restore db/inner db --replace", "within the directory")
    #expect(folder.exists("db/inner/repository"))
    for target in ["repo", "repo/new", "repo/a/b", "repo/../repo/new"] {
      try refused("restore repo \(target)", "within the repository")
      try refused("restore repo \(target) --replace", "within the repository")
    }
    try Command.succeed("verify", folder.path("repo"))
  }

  @Test func aLinkStaysALink() throws {
    try Shell.succeed(
      """
      mkdir real && $vecdb restore repo real/db && ln -s real/db link
      $vecdb restore repo link --replace && test -L link && test -d real/db/log
      """, in: folder)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("real")) == ["db"])
    #expect(try export("link") == export())
  }

  @Test func anEmptyDirectoryIsAPlace() throws {
    try Shell.succeed(
      """
      mkdir a b c c/lost+found d d/lost+found e e/lost+found
      $vecdb restore repo a && $vecdb create b c --dimensions 4 --metric l2
      $vecdb restore repo c && $vecdb create d c --dimensions 4 --metric l2
      $vecdb backup db e && $vecdb verify e && test -d c/lost+found
      """, in: folder)
    try write("x", to: "d")
    #expect(try export("d").split(separator: "\n").count == 1)
    for name in ["a", "c"] {
      #expect(try export(name) == export())
      try refused("restore repo \(name)", "already")
      try Shell.succeed("$vecdb restore repo \(name) --replace && $vecdb check \(name)", in: folder)
    }
    try Shell.succeed("mkdir full && touch full/x", in: folder)
    try refused("restore repo full", "already")
    try refused("create full c --dimensions 4 --metric l2", "something else is there")
    #expect(folder.exists("full/x"))
  }

  @Test func aRestoredDatabaseGoesOnInItsRepository() throws {
    try Shell.succeed("$vecdb restore repo db --replace", in: folder)
    try refused("backup db repo", "--continue")
    try Shell.succeed("$vecdb restore repo db --replace --continue", in: folder)
    for key in ["one", "two"] {
      try write(key)
      try Shell.succeed("$vecdb backup db repo && $vecdb verify repo", in: folder)
    }
    let all = try export()
    try Shell.succeed("$vecdb restore repo copy && $vecdb restore repo first --lsn 2", in: folder)
    #expect(try export("copy") == all)
    #expect(try export("first").split(separator: "\n").count == 20)
    // Again, from a point in the past.
    try Shell.succeed(
      "$vecdb restore repo db --replace --continue --lsn 3 && $vecdb backup db repo", in: folder)
    #expect(try export().split(separator: "\n").count == 21)
    try write("three")
    try Shell.succeed(
      "$vecdb backup db repo && $vecdb verify repo && $vecdb restore repo last", in: folder)
    #expect(try export("last") == export())
  }

  @Test func aReplicaReplacesNothingButDatabases() throws {
    try Shell.succeed("mkdir foreign; echo precious | tee foreign/x file > /dev/null", in: folder)
    for place in ["foreign", "file"] {
      let result = try Shell.run(
        """
        timeout 20 $vecdb replica \(place) --primary 127.0.0.1:1 --name r --insecure-loopback
        """, in: folder)
      #expect(result.status == 1 && result.errors.contains("not a database"), "\(result.errors)")
    }
    #expect(folder.exists("foreign/x") && folder.exists("file"))
  }

  @Test func aTrialWithoutRoomSaysNothingAboutTheRepository() throws {
    try Shell.succeed("mkdir tmp", in: folder)
    let result = try Shell.run(
      "mount -t tmpfs -o size=60k none tmp && TMPDIR=$PWD/tmp $vecdb verify repo; code=$?; ls -A tmp; umount tmp; exit $code",
      in: folder)
    // Only root can mount.
    guard !result.errors.contains("mount:") else { return }
    #expect(result.status == 1 && result.errors.contains("TMPDIR"), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test func aFullDiskCanBeRead() throws {
    let result = try Shell.run(
      """
      mkdir full && mount -t tmpfs -o size=20m none full || exit 0
      cp -r db full/db; cat /dev/zero > full/zeros 2> /dev/null
      for verb in 'query full/db c --key k1' 'get full/db c k1' 'stats full/db' 'check full/db' \
        'export full/db c' 'backup full/db saved' 'archive full/db saved' 'restore saved copied'; do
        $vecdb $verb > /dev/null || echo "failed: $verb"
      done
      umount full
      """, in: folder)
    #expect(result.output.isEmpty, "\(result.output) \(result.errors)")
  }

  @Test func aReadOnlyFileSystemCanBeRead() throws {
    let result = try Shell.run(
      """
      mkdir ro && mount --bind db ro && mount -o remount,bind,ro ro || exit 0
      for verb in 'query ro c --key k1' 'get ro c k1' 'stats ro' 'check ro' 'export ro c' \
        'backup ro repo'; do
        $vecdb $verb > /dev/null || echo "failed: $verb"
      done
      $vecdb delete ro c k1 > /dev/null 2>&1 && echo deleted
      umount ro; ls -A ${TMPDIR:-/tmp} | grep -c vecdb-ro-
      """, in: folder)
    #expect(result.output.isEmpty || result.output == "0\n", "\(result.output) \(result.errors)")
  }

  /// The root of a mounted volume cannot be renamed, nor can anything be renamed onto it.
  @Test func aMountedVolumeIsAPlace() throws {
    let result = try Shell.run(
      """
      mkdir v && mount -t tmpfs -o size=64m none v || exit 0
      try() { "$@" > /dev/null || echo "failed: $*"; }
      try $vecdb create v c --dimensions 4 --metric l2
      try $vecdb import v c records.jsonl; try $vecdb stats v; try $vecdb backup v repo2
      try $vecdb restore repo2 v --replace; try $vecdb check v
      try $vecdb restore repo2 v --replace --continue; try $vecdb backup v repo2
      rm -rf v/*; try $vecdb restore repo2 v; $vecdb export v c > exported
      rm -rf v/*; try $vecdb backup db v; try $vecdb verify v
      umount v
      """, in: folder)
    #expect(result.output.isEmpty, "\(result.output) \(result.errors)")
    if folder.exists("exported") {
      #expect(String(decoding: try folder.read("exported"), as: UTF8.self) == (try export()))
    }
  }
}
