import Foundation
import Testing

/// `archive --every` goes on: past a full repository and past the end of the owner.
@Suite(.serialized) struct LongArchiveTests {
  let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try folder.database(records: 20)
  }

  /// What the scripts below have in common. `owner` has the database open until its input ends, and
  /// `row` lets it write.
  private static let tools =
    """
    owner() {
      rm -f rows; mkfifo rows
      $vecdb import db c rows --format jsonl > /dev/null 2> owner.errors & owner=$!
      exec 3> rows
    }
    row() { echo '{"key":"'$1'","vector":[1,2,3,4]}' >&3; }
    await() {
      for n in $(seq 600); do grep -q "$1" told && return; sleep 0.1; done
      echo "never told: $1"; cat told owner.errors; exit 1
    }

    """

  @Test func aFullRepositoryIsToldOnceAndWaitedFor() throws {
    let result = try Shell.run(
      Self.tools + """
        mkdir full && mount -t tmpfs -o size=8m none full || exit 0
        trap 'kill $archive; exec 3>&-; wait; umount full' EXIT
        $vecdb backup db full/repo > /dev/null || exit 1
        owner; row a
        $vecdb archive db full/repo --every 1s > /dev/null 2> told 3>&- & archive=$!
        await 'archived LSN 3'
        head -c 16m /dev/zero > full/filler 2> /dev/null
        row b; await 'archiving waits'; row c; sleep 3
        rm full/filler; await 'archived LSN 5'
        test $(grep -c 'archiving waits' told) = 1 || { cat told; exit 1; }
        kill -0 $archive && $vecdb verify full/repo > verified || { cat verified; exit 1; }
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  @Test(arguments: ["kill -9 $owner", "exec 3>&-"])
  func theNextOwnerIsWaitedFor(end: String) throws {
    let result = try Shell.run(
      Self.tools + """
        trap 'kill $archive; exec 3>&-; wait' EXIT
        $vecdb backup db repo > /dev/null || exit 1
        owner; row a
        $vecdb archive db repo --every 1s > /dev/null 2> told 3>&- & archive=$!
        await 'archived LSN 3'
        \(end); await 'has ended'
        kill -0 $archive || exit 1
        $vecdb stats db > /dev/null || exit 1
        owner; row b; await 'archived LSN 4'
        test $(grep -c 'has ended' told) = 1 || { cat told; exit 1; }
        """, in: folder)
    #expect(result.status == 0, "\(result.output) \(result.errors)")
  }

  /// Nobody writes to a database that nobody has open.
  @Test func withoutAnOwnerItEnds() throws {
    let result = try Shell.succeed("$vecdb archive db repo --every 1s", in: folder)
    #expect(result.output.contains("archived up to LSN 2"))
  }
}
