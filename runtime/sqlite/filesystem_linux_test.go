package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhichFilesystemsAreShared(t *testing.T) {
	t.Parallel()
	for magic, want := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB2",
		unix.V9FS_MAGIC: "9P", unix.FUSE_SUPER_MAGIC: "FUSE", unix.AFS_SUPER_MAGIC: "AFS", unix.AFS_FS_MAGIC: "AFS",
		unix.CODA_SUPER_MAGIC: "Coda", unix.NCP_SUPER_MAGIC: "NCP", unix.CEPH_SUPER_MAGIC: "Ceph", unix.OCFS2_SUPER_MAGIC: "OCFS2",
		0x0bd00bd0: "Lustre", 0x01161970: "GFS2", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x20030528: "OrangeFS",
		unix.EXT4_SUPER_MAGIC: "", unix.XFS_SUPER_MAGIC: "", unix.BTRFS_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "",
		unix.OVERLAYFS_SUPER_MAGIC: "", unix.F2FS_SUPER_MAGIC: "", 0x2fc12fc1: "", // ZFS
	} {
		if got := sharedName(&unix.Statfs_t{Type: magic}); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
	// Where Type has 32 bits, a large number is negative.
	if got := sharedName(&unix.Statfs_t{Type: -0x00acb2be}); got != "CIFS" {
		t.Errorf("CIFS on 32 bits is %q", got)
	}
}

// TestARealSharedFilesystem mounts one: FUSE without anybody who serves it, which
// is enough to be asked for its kind by who may not look into it.
func TestARealSharedFilesystem(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	defer device.Close()
	const nobody = 65534
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", device.Fd(), nobody, nobody)
	if err := unix.Mount("none", folder, "fuse.sshfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Skip("NOT TESTED: only root can mount: ", err)
	}
	defer func() { _ = unix.Unmount(folder, unix.MNT_DETACH) }()
	path := filepath.Join(folder, "queue.db")
	_, err = Open(t.Context(), "sqlite:"+path)
	if err == nil || !strings.Contains(err.Error(), "FUSE") || !strings.Contains(err.Error(), "local disk") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
